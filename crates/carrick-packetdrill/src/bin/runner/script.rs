//! Which scripts there are, and in which variants they are run.

use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};

/// The IP that a script is played over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Variant {
    Ipv4,
    Ipv6,
    Mapped,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Ipv4, Self::Mapped, Self::Ipv6];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Mapped => "ipv4-mapped-v6",
        }
    }

    /// By the value of the tool's `--ip_version`.
    fn by_option(value: &str) -> Option<Self> {
        match value {
            "ipv4" => Some(Self::Ipv4),
            "ipv6" => Some(Self::Ipv6),
            "ipv4-mapped-ipv6" => Some(Self::Mapped),
            _ => None,
        }
    }

    /// What the tool is told, as Google's own runner tells it.
    pub(crate) const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Ipv4 => &[
                "--ip_version=ipv4",
                "--local_ip=192.168.0.1",
                "--gateway_ip=192.168.0.1",
                "--netmask_ip=255.255.0.0",
                "--remote_ip=192.0.2.1",
                "-D",
                "TFO_COOKIE=3021b9d889017eeb",
                "-D",
                "CODE=host_unreachable",
                "-D",
                "CMSG_LEVEL_IP=SOL_IP",
                "-D",
                "CMSG_TYPE_RECVERR=IP_RECVERR",
            ],
            Self::Ipv6 => &[
                "--ip_version=ipv6",
                "--mtu=1520",
                "--local_ip=fd3d:0a0b:17d6::1",
                "--gateway_ip=fd3d:0a0b:17d6:8888::1",
                "--remote_ip=fd3d:fa7b:d17d::1",
                "-D",
                "TFO_COOKIE=c1d1e9742a47a9bc",
                "-D",
                "CMSG_LEVEL_IP=SOL_IPV6",
                "-D",
                "CMSG_TYPE_RECVERR=IPV6_RECVERR",
            ],
            Self::Mapped => &[
                "--ip_version=ipv4-mapped-ipv6",
                "--local_ip=192.168.0.1",
                "--gateway_ip=192.168.0.1",
                "--netmask_ip=255.255.0.0",
                "--remote_ip=192.0.2.1",
                "-D",
                "TFO_COOKIE=3021b9d889017eeb",
                "-D",
                "CODE=host_unreachable",
                "-D",
                "CMSG_LEVEL_IP=SOL_IPV6",
                "-D",
                "CMSG_TYPE_RECVERR=IPV6_RECVERR",
            ],
        }
    }

    /// The link's MTU, which the tool tells the kernel and nobody else.
    const fn mtu(self) -> u16 {
        match self {
            Self::Ipv4 | Self::Mapped => 1500,
            Self::Ipv6 => 1520,
        }
    }
}

/// A script, and the IP that it is played over.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) path: PathBuf,
    /// Its path below the suite.
    pub(crate) name: String,
    pub(crate) variant: Variant,
    /// The link's MTU: the variant's, or what the script itself asks the tool for.
    pub(crate) mtu: u16,
}

impl Script {
    pub(crate) fn new(path: PathBuf, name: impl Into<String>, variant: Variant) -> Self {
        Self { path, name: name.into(), variant, mtu: variant.mtu() }
    }

    /// The directory below the suite, for tables.
    pub(crate) fn directory(&self) -> &str {
        self.name.rsplit_once('/').map_or(".", |(directory, _)| directory)
    }
}

/// Adds the scripts of a suite, in order of their names.
pub(crate) fn find(suite: &Path, scripts: &mut Vec<Script>) -> Result<(), String> {
    let suite = suite.canonicalize().map_err(|error| format!("{}: {error}", suite.display()))?;
    let mut paths = Vec::new();
    collect(&suite, &mut Vec::new(), &mut paths)?;
    paths.sort();
    let root = if suite.is_dir() { &suite } else { suite.parent().unwrap_or(&suite) };
    for path in paths {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let option = |name: &str| text.lines().filter_map(|line| line.trim().strip_prefix(name)).next_back();
        for variant in variants(&name, option("--ip_version=")) {
            let mtu = option("--mtu=").and_then(|mtu| mtu.trim().parse().ok()).unwrap_or(variant.mtu());
            scripts.push(Script { mtu, ..Script::new(path.clone(), name.as_str(), variant) });
        }
    }
    Ok(())
}

/// Adds the scripts at a path, `above` being the directories that led there, without links.
fn collect(path: &Path, above: &mut Vec<PathBuf>, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    let problem = |error| format!("{}: {error}", path.display());
    if path.is_dir() {
        let directory = path.canonicalize().map_err(problem)?;
        // A link to a directory may lead back.
        if above.iter().any(|above| above.starts_with(&directory)) {
            return Ok(());
        }
        above.push(directory);
        for entry in fs::read_dir(path).map_err(problem)? {
            let path = entry.map_err(problem)?.path();
            if path.is_dir() || path.extension().is_some_and(|extension| extension == "pkt") {
                collect(&path, above, paths)?;
            }
        }
        above.pop();
    } else {
        paths.push(path.to_owned());
    }
    Ok(())
}

/// Which variants a script is for: what it says itself, else what its name says, else all.
fn variants(name: &str, option: Option<&str>) -> Vec<Variant> {
    if let Some(variant) = option.and_then(|value| Variant::by_option(value.trim())) {
        return vec![variant];
    }
    let is_for = |variant: &Variant| match variant {
        Variant::Ipv4 | Variant::Mapped => !name.ends_with("v6.pkt"),
        Variant::Ipv6 => !name.ends_with("v4.pkt"),
    };
    Variant::ALL.into_iter().filter(is_for).collect()
}

/// The written list of scripts that are not applicable.
#[derive(Debug)]
pub(crate) struct NotApplicable(Vec<(String, String)>);

impl NotApplicable {
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, String> {
        let text = match path {
            Some(path) => fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
            None => include_str!("../../../not_applicable.txt").to_owned(),
        };
        let mut list = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, reason) =
                line.split_once(char::is_whitespace).ok_or_else(|| format!("no reason: {line}"))?;
            list.push((name.to_owned(), reason.trim().to_owned()));
        }
        Ok(Self(list))
    }

    /// Why a script is not applicable, if it is not.
    pub(crate) fn reason(&self, path: &Path) -> Option<&str> {
        self.0.iter().find(|(name, _)| path.ends_with(name)).map(|(_, reason)| reason.as_str())
    }
}
