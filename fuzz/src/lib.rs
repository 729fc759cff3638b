//! What the fuzz targets check; each target in `fuzz_targets/` calls one function from here.

pub mod fragments;
pub mod recovery;
pub mod wire;
