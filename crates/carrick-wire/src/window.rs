//! Window, window scale and segment size, each within the range that its RFC allows (RFC 7323 §2, RFC 9293
//! §3.7.1).
//!
//! A peer's number becomes one of these at the edge and is trusted from there on: a shift is at most 14, a
//! window below 2^30 bytes, a segment size large enough that options leave room for payload.

/// A window as carried in the header, not yet scaled (RFC 9293 §3.1).
///
/// # Examples
/// ```
/// use carrick_wire::{Window, WindowScale, WireWindow};
///
/// let scale = WindowScale::clamped(7);
/// assert_eq!(WireWindow::new(512).scaled(scale).get(), 65_536);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct WireWindow(u16);

impl WireWindow {
    /// The field's value.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::WireWindow;
    ///
    /// assert_eq!(WireWindow::new(512).get(), 512);
    /// ```
    #[must_use]
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// The field's value.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::WireWindow;
    ///
    /// assert_eq!(WireWindow::new(512).get(), 512);
    /// ```
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The window in bytes under `scale` (RFC 7323 §2.3); a SYN's window is never scaled: use
    /// [`WindowScale::ZERO`].
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{Window, WindowScale, WireWindow};
    ///
    /// let scale = WindowScale::clamped(7);
    /// assert_eq!(WireWindow::new(512).scaled(scale), Window::new(65_536));
    /// ```
    #[must_use]
    pub const fn scaled(self, scale: WindowScale) -> Window {
        // At most 65,535 << 14, which is below 2^30 and so fits.
        Window::new((self.0 as u32) << scale.0)
    }
}

/// A window in bytes: 0..=2^30-1 (RFC 7323 §2.3).
///
/// # Examples
/// ```
/// use carrick_wire::{Window, WindowScale, WireWindow};
///
/// let scale = WindowScale::clamped(7);
/// assert_eq!(Window::new(65_536).to_wire(scale), WireWindow::new(512));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Window(u32);

impl Window {
    /// The largest window.
    pub const MAX: Self = Self((1 << 30) - 1);

    /// A window of `bytes`; more than [`Window::MAX`] becomes that.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Window;
    ///
    /// assert_eq!(Window::new(65_536).get(), 65_536);
    /// ```
    #[must_use]
    pub const fn new(bytes: u32) -> Self {
        Self(if bytes < Self::MAX.0 { bytes } else { Self::MAX.0 })
    }

    /// Bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Window;
    ///
    /// assert_eq!(Window::new(65_536).get(), 65_536);
    /// ```
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The header's value for this window: rounded down to a multiple of 2^scale, at most 65,535 units.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::{Window, WindowScale, WireWindow};
    ///
    /// let scale = WindowScale::clamped(7);
    /// assert_eq!(Window::new(65_536).to_wire(scale), WireWindow::new(512));
    /// ```
    #[must_use]
    pub const fn to_wire(self, scale: WindowScale) -> WireWindow {
        let units = self.0 >> scale.0;
        // The cast is exact: the other branch takes everything larger.
        WireWindow(if units > u16::MAX as u32 { u16::MAX } else { units as u16 })
    }
}

/// A window scale: a shift of 0..=14 (RFC 7323 §2.3).
///
/// # Examples
/// ```
/// use carrick_wire::{Window, WindowScale, WireWindow};
///
/// let scale = WindowScale::clamped(7);
/// assert_eq!(WireWindow::new(1).scaled(scale).get(), 128);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WindowScale(u8);

impl WindowScale {
    /// No scaling.
    pub const ZERO: Self = Self(0);
    /// The largest shift.
    pub const MAX: Self = Self(14);

    /// The shift, or `None` above 14.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::WindowScale;
    ///
    /// assert!(WindowScale::new(14).is_some());
    /// assert!(WindowScale::new(15).is_none());
    /// ```
    #[must_use]
    pub const fn new(shift: u8) -> Option<Self> {
        if shift <= Self::MAX.0 { Some(Self(shift)) } else { None }
    }

    /// The shift to use for one received: 15 and above count as 14 (RFC 7323 §2.3).
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::WindowScale;
    ///
    /// assert_eq!(WindowScale::clamped(15).get(), 14);
    /// ```
    #[must_use]
    pub const fn clamped(shift: u8) -> Self {
        if shift <= Self::MAX.0 { Self(shift) } else { Self::MAX }
    }

    /// The shift.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::WindowScale;
    ///
    /// assert_eq!(WindowScale::clamped(7).get(), 7);
    /// ```
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A maximum segment size in bytes, options included, at least [`Mss::FLOOR`] (RFC 9293 §3.7.1).
///
/// # Examples
/// ```
/// use carrick_wire::Mss;
///
/// assert_eq!(Mss::clamped(1460).get(), 1460);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mss(u16);

impl Mss {
    /// The smallest size used, whatever a peer asks for: beside 40 bytes of options it still leaves 48 for
    /// payload.
    pub const FLOOR: u16 = 88;
    /// What a peer accepts over IPv4 that does not say (RFC 9293 §3.7.1).
    pub const DEFAULT_V4: Self = Self(536);
    /// What a peer accepts over IPv6 that does not say (RFC 9293 §3.7.1).
    pub const DEFAULT_V6: Self = Self(1220);

    /// The size `bytes`, raised to [`Mss::FLOOR`] if smaller.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Mss;
    ///
    /// assert_eq!(Mss::clamped(1460).get(), 1460);
    /// assert_eq!(Mss::clamped(0).get(), Mss::FLOOR);
    /// ```
    #[must_use]
    pub const fn clamped(bytes: u16) -> Self {
        Self(if bytes < Self::FLOOR { Self::FLOOR } else { bytes })
    }

    /// Bytes.
    ///
    /// # Examples
    /// ```
    /// use carrick_wire::Mss;
    ///
    /// assert_eq!(Mss::DEFAULT_V4.get(), 536);
    /// ```
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}
