//! Super-segments: nothing but the number of calls tells a device with offload from one without.

mod bounds;
mod edges;
mod segments;
mod twins;
