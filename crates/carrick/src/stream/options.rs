//! What can be set on a stream, and what it tells of itself.

use super::TcpStream;
use crate::error::not_connected;
use carrick_core::{Connection, Cx, KeepAlive, TcpInfo, TcpState};
use std::io;
use std::num::NonZeroU8;
use std::time::Duration;

impl TcpStream {
    fn set(&self, f: impl FnOnce(&mut Connection, &Cx)) -> io::Result<()> {
        let done = self.stack.enter(&self.cell, |state, cx| state.run(|connection| f(connection, cx)));
        done.ok_or_else(not_connected)
    }

    /// Whether Nagle's rule is off.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// assert!(!stream.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn nodelay(&self) -> io::Result<bool> {
        self.look(Connection::nodelay)
    }

    /// Switches Nagle's rule off or on, for this stream. On, as it is by default, small writes wait for up to a round
    /// trip while an earlier one is not acknowledged, and leave together; off, each leaves at once, in a packet of
    /// its own. [`ConnectionConfig::nodelay`](crate::ConnectionConfig::nodelay) is for all streams of a stack.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// stream.set_nodelay(true)?; // for keystrokes, or other small things that nobody should wait for
    /// assert!(stream.nodelay()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set(|connection, cx| connection.set_nodelay(cx, nodelay))
    }

    /// Whether what does not fill a packet is held back.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (stream, _peer) = connected().await?;
    /// assert!(!stream.cork()?, "by default nothing is held back");
    /// # Ok(())
    /// # }
    /// ```
    pub fn cork(&self) -> io::Result<bool> {
        self.look(Connection::corked)
    }

    /// Holds back what does not fill a packet (true), for several writes that are to leave as one, or lets it go at
    /// once (false), whatever [`nodelay`](Self::nodelay) says: Linux's `TCP_CORK`. Nothing is held for longer than 200
    /// ms, or beyond the end of the direction. Off by default.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// stream.set_cork(true)?;
    /// stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await?;
    /// stream.write_all(b"hello").await?;
    /// stream.set_cork(false)?; // one packet
    /// # assert_eq!(peer.read(&mut [0; 100]).await?, 43);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_cork(&self, cork: bool) -> io::Result<()> {
        self.set(|connection, cx| connection.set_cork(cx, cork))
    }

    /// Whether the next segment is acknowledged at once, however small it is.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// stream.set_quickack(true)?;
    /// assert!(stream.quickack()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn quickack(&self) -> io::Result<bool> {
        self.look(Connection::quickack)
    }

    /// Acknowledges the next 16 segments at once, and what waits now (true), or leaves acknowledgments to ride on what
    /// is written (false). As on Linux it lasts until the conversation teaches otherwise.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// stream.set_quickack(false)?; // an answer is on its way, and takes the acknowledgment along
    /// assert!(!stream.quickack()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.set(|connection, cx| connection.set_quickack(cx, quickack))
    }

    /// What dropping the stream does with what is not delivered yet; see [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// assert_eq!(stream.linger()?, None); // all of it is delivered
    /// # Ok(())
    /// # }
    /// ```
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.look(Connection::linger)
    }

    /// Says what dropping the stream does with what is not delivered yet. None, the default: it is delivered, as long
    /// as the peer acknowledges something now and then. A time: it is delivered if that takes no longer, then the
    /// connection is reset. Zero: it is lost at once, see [`set_zero_linger`](Self::set_zero_linger).
    ///
    /// Dropping never waits, which is what `tokio::net` deprecates its method for; so this one is not deprecated.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use std::time::Duration;
    ///
    /// stream.set_linger(Some(Duration::from_secs(5)))?;
    /// assert_eq!(stream.linger()?, Some(Duration::from_secs(5)));
    /// drop(stream); // at once; what was written has 5 s to arrive
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set(|connection, _| connection.set_linger(linger))
    }

    /// Makes dropping the stream reset the connection: what is not delivered is lost, the peer gets
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset), and no TIME-WAIT is left.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use std::io::ErrorKind;
    /// use tokio::io::AsyncReadExt;
    ///
    /// stream.set_zero_linger()?;
    /// drop(stream);
    /// let error = peer.read(&mut [0]).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// The time to live (hop limit) of packets sent, 1 to 255.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// assert_eq!(stream.ttl()?, 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ttl(&self) -> io::Result<u32> {
        self.look(|connection| connection.hop_limit().into())
    }

    /// Sets the time to live (hop limit) of packets sent from now on, 1 to 255.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for another number.
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// stream.set_ttl(1)?; // no further than the link
    /// assert_eq!(stream.ttl()?, 1);
    /// assert!(stream.set_ttl(256).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = hop_limit(ttl)?;
        self.set(|connection, _| connection.set_hop_limit(hop_limit))
    }

    /// The type-of-service or traffic-class byte of packets sent, without the two bits that are ECN's.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// assert_eq!(stream.tos()?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tos(&self) -> io::Result<u32> {
        self.look(|connection| u32::from(connection.dscp()) << 2)
    }

    /// Sets the type-of-service or traffic-class byte of packets sent from now on, 0 to 255 (RFC 2474). Its two lower
    /// bits are ECN's and not taken, as on Linux.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for another number.
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// stream.set_tos(46 << 2)?; // expedited forwarding (RFC 3246)
    /// assert_eq!(stream.tos()?, 0xb8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_tos(&self, tos: u32) -> io::Result<()> {
        let dscp = dscp(tos)?;
        self.set(|connection, _| connection.set_dscp(dscp))
    }

    /// When a silent peer is probed, if it is.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// assert_eq!(stream.keep_alive()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep_alive(&self) -> io::Result<Option<KeepAlive>> {
        self.look(Connection::keep_alive)
    }

    /// Probes a peer of which nothing has been heard, and gives it up if it does not answer
    /// ([`TimedOut`](io::ErrorKind::TimedOut)), or ceases to. Off by default.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use carrick::KeepAlive;
    /// use std::time::Duration;
    ///
    /// // A peer that has vanished is missed after a minute and a half.
    /// let minute = Duration::from_secs(60);
    /// stream.set_keep_alive(Some(KeepAlive { idle: minute, interval: minute / 6, retries: 3 }))?;
    /// assert_eq!(stream.keep_alive()?.unwrap().idle, minute);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) -> io::Result<()> {
        self.set(|connection, cx| connection.set_keep_alive(cx, keep_alive))
    }

    /// How long what is written may wait for its acknowledgment, if that is limited.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// assert_eq!(stream.user_timeout()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn user_timeout(&self) -> io::Result<Option<Duration>> {
        self.look(Connection::user_timeout)
    }

    /// Sets how long what is written may wait for its acknowledgment, a peer that does not read included, before the
    /// connection is given up ([`TimedOut`](io::ErrorKind::TimedOut)). Default none, and zero is none: some 15 min, and
    /// as long as it takes for a peer that does not read.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use std::time::Duration;
    ///
    /// stream.set_user_timeout(Some(Duration::from_secs(30)))?;
    /// assert_eq!(stream.user_timeout()?, Some(Duration::from_secs(30)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(|connection, cx| connection.set_user_timeout(cx, timeout))
    }

    /// How many bytes may be written and not sent yet, if that is limited.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// assert_eq!(stream.notsent_lowat()?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn notsent_lowat(&self) -> io::Result<Option<u32>> {
        self.look(Connection::notsent_lowat)
    }

    /// Limits how many bytes may be written and not sent yet, so that what goes out next is decided late: a write
    /// waits beyond that although the send buffer has room. Default none.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after an internal error.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// // The next picture is chosen when it can leave, not seconds before.
    /// stream.set_notsent_lowat(Some(16 << 10))?;
    /// assert_eq!(stream.notsent_lowat()?, Some(16 << 10));
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_notsent_lowat(&self, most: Option<u32>) -> io::Result<()> {
        self.set(|connection, cx| connection.set_notsent_lowat(cx, most))
    }

    /// How the connection is doing: round-trip time, windows, what is under way.
    ///
    /// While the device has taken no packet for half a second, its `soft_error` is
    /// [`NetworkUnreachable`](crate::ConnectionError::NetworkUnreachable), if the connection has no other.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the connection is over, TIME-WAIT included.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (stream, _peer) = connected().await?;
    /// let info = stream.tcp_info()?;
    /// println!("{}: round trip {:?}, window {}", info.state, info.rtt, info.congestion_window);
    /// # assert_eq!(info.state.to_string(), "ESTABLISHED");
    /// # Ok(())
    /// # }
    /// ```
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        let now = self.stack.now();
        let mut info = self.look(|connection| connection.tcp_info_at(now))?.ok_or_else(not_connected)?;
        info.soft_error = info.soft_error.or_else(|| self.stack.outlet.outages.soft_error());
        Ok(info)
    }

    /// The state by its RFC name (RFC 9293 §3.3.2), also when [`tcp_info`](Self::tcp_info) has nothing to say any more:
    /// [`TimeWait`](TcpState::TimeWait) while old segments are waited out, [`Closed`](TcpState::Closed) at last.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, _peer) = connected().await?;
    /// use carrick::TcpState;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// assert_eq!(stream.state(), TcpState::Established);
    /// stream.shutdown().await?;
    /// assert_eq!(stream.state(), TcpState::FinWait1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn state(&self) -> TcpState {
        self.look(Connection::state).unwrap_or(TcpState::Closed)
    }

    /// The error that the connection ended with, if it did; the first time that it is asked for. Reads and writes go on
    /// telling it.
    ///
    /// # Errors
    /// None; the result is for likeness with `tokio::net`.
    ///
    /// # Examples
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doc.rs"));
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// # let (mut stream, mut peer) = connected().await?;
    /// use std::io::ErrorKind;
    ///
    /// # peer.set_zero_linger()?;
    /// # drop(peer);
    /// stream.readable().await?;
    /// let error = stream.take_error()?.unwrap();
    /// assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    /// assert!(stream.take_error()?.is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let mut state = self.cell.lock();
        let error = state.error(self.stack.failure());
        Ok(error.filter(|_| !std::mem::replace(&mut state.error_taken, true)))
    }
}

/// A time to live that packets can have.
pub(crate) fn hop_limit(ttl: u32) -> io::Result<NonZeroU8> {
    let hop_limit = u8::try_from(ttl).ok().and_then(NonZeroU8::new);
    hop_limit.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a time to live is 1 to 255"))
}

/// The differentiated services code point of a type-of-service byte.
pub(crate) fn dscp(tos: u32) -> io::Result<u8> {
    let tos = u8::try_from(tos)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a type of service is 0 to 255"))?;
    Ok(tos >> 2)
}
