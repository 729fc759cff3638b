//! Pictures of what `tun_goodput --csv` has written: bars of medians, as SVG on a white ground.
//!
//! One picture for a quantity and a number of connections. Left is what comes in, right what goes out; above are
//! contestants that move large packets, below those that move packets of 1,500 bytes, each with a scale of its own.

use crate::statistics::median;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::collections::BTreeSet;
use std::fmt::Display;

/// One measurement that did not fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    contestant: String,
    /// Whether the contestant received.
    inward: bool,
    connections: u32,
    /// Gbit/s.
    goodput: f64,
    /// CPU seconds per GB, for each of [`SIDES`].
    cpu: [f64; SIDES.len()],
}

/// Who CPU time was spent by.
const SIDES: [(&str, RGBColor); 4] = [
    ("contestant, user", RGBColor(31, 78, 138)),
    ("contestant, in the kernel", RGBColor(114, 163, 214)),
    ("client", RGBColor(238, 166, 84)),
    ("kernel behind a relay", RGBColor(170, 170, 170)),
];

/// Reads the file, whose first line names its columns. Failed measurements are left out.
///
/// # Errors
/// What cannot be read, and in which line.
pub fn read(csv: &str) -> Result<Vec<Sample>, String> {
    let mut lines = csv.lines().enumerate();
    let (_, names) = lines.next().ok_or("it is empty")?;
    let names: Vec<_> = names.split(',').collect();
    let mut samples = Vec::new();
    for (number, line) in lines {
        let fields: Vec<_> = line.split(',').collect();
        let at = |what: &dyn Display| format!("line {}: {what}", number + 1);
        let field = |name: &str| {
            let place = names.iter().position(|known| *known == name);
            let text = place.and_then(|place| fields.get(place)).copied();
            text.ok_or_else(|| at(&format_args!("no column {name}")))
        };
        if !field("error")?.is_empty() {
            continue;
        }
        let value =
            |name: &str| field(name)?.parse::<f64>().map_err(|error| at(&format_args!("{name}: {error}")));
        let gigabytes = value("bytes")? / 1e9;
        let cpu = |name: &str| Ok::<_, String>(value(name)? / gigabytes);
        let far = cpu("far_user")? + cpu("far_system")?;
        let client = cpu("client_user")? + cpu("client_system")?;
        samples.push(Sample {
            contestant: field("contestant")?.to_owned(),
            inward: field("direction")? == "in",
            connections: field("connections")?.parse().map_err(|error| at(&error))?,
            goodput: gigabytes * 8.0 / value("seconds")?,
            cpu: [cpu("stack_user")?, cpu("stack_system")?, client, far],
        });
    }
    Ok(samples)
}

/// What a picture is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quantity {
    /// CPU seconds per GB, stacked by who spent them.
    Cpu,
    /// Gbit/s.
    Goodput,
}

impl Quantity {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Goodput];

    /// Short, for names of files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Goodput => "goodput",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU seconds per GB",
            Self::Goodput => "Goodput in Gbit/s",
        }
    }

    fn legend(self) -> &'static [(&'static str, RGBColor)] {
        match self {
            Self::Cpu => &SIDES,
            Self::Goodput => &SIDES[..0],
        }
    }

    fn label(self, value: f64) -> String {
        match self {
            Self::Cpu if value < 1.0 => format!("{value:.3}"),
            Self::Cpu => format!("{value:.2}"),
            Self::Goodput => format!("{value:.1}"),
        }
    }
}

/// Medians of one contestant.
#[derive(Debug, PartialEq)]
struct Bar<'a> {
    name: &'a str,
    parts: Vec<f64>,
    total: f64,
}

/// The contestants of one part of a picture, in the order of the file.
fn bars(samples: &[Sample], quantity: Quantity, connections: u32, inward: bool, small: bool) -> Vec<Bar<'_>> {
    let wanted = |sample: &&Sample| {
        let packets = sample.contestant.split('/').nth(1);
        (sample.connections, sample.inward, packets == Some("1500")) == (connections, inward, small)
    };
    let mut names = Vec::new();
    for sample in samples.iter().filter(wanted) {
        if !names.contains(&&*sample.contestant) {
            names.push(&*sample.contestant);
        }
    }
    let bar = |name| {
        let of = |value: &dyn Fn(&Sample) -> f64| {
            median(samples.iter().filter(wanted).filter(|sample| sample.contestant == name).map(value))
        };
        let (parts, total) = match quantity {
            Quantity::Cpu => {
                let parts = (0..SIDES.len()).map(|side| of(&|sample| sample.cpu[side])).collect();
                (parts, of(&|sample| sample.cpu.iter().sum()))
            }
            Quantity::Goodput => {
                let goodput = of(&|sample| sample.goodput);
                (vec![goodput], goodput)
            }
        };
        Bar { name, parts, total }
    };
    names.into_iter().map(bar).collect()
}

/// How far the scale reaches: to the longest bar, unless that would make nothing of all others.
fn reach(bars: &[Bar<'_>]) -> f64 {
    let mut totals: Vec<_> = bars.iter().map(|bar| bar.total).collect();
    totals.sort_unstable_by(f64::total_cmp);
    match totals[..] {
        [.., second, first] => first.min(second * 2.0),
        [only] => only,
        [] => 1.0,
    }
    .max(f64::MIN_POSITIVE)
}

/// Numbers of connections that there are measurements with.
#[must_use]
pub fn connections(samples: &[Sample]) -> Vec<u32> {
    let all: BTreeSet<_> = samples.iter().map(|sample| sample.connections).collect();
    all.into_iter().collect()
}

const WIDTH: u32 = 1080;
/// Of the picture: its title, and who is of which colour.
const HEAD: u32 = 44;
const LEGEND: u32 = 28;
/// Of a part: its title, a bar, its scale.
const TITLE: u32 = 30;
const BAR: u32 = 24;
const SCALE: u32 = 34;
/// Room for names, left of the bars, and for figures, right of them.
const NAMES: u32 = 168;
const FIGURES: u32 = 62;

const INK: RGBColor = RGBColor(34, 34, 34);
const FAINT: RGBColor = RGBColor(225, 225, 225);
/// As the SVG backend has it, a size of 1.24 is one pixel.
const PIXELS: f64 = 1.24;

fn text(size: f64, bold: bool, horizontally: HPos) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = FontDesc::new(FontFamily::SansSerif, size * PIXELS, style);
    font.color(&INK).pos(Pos::new(horizontally, VPos::Center))
}

/// The picture; `caption` is added to its title.
///
/// # Errors
/// What plotters says.
pub fn draw(
    samples: &[Sample],
    quantity: Quantity,
    connections: u32,
    caption: &str,
) -> Result<String, String> {
    let part = |small, inward| bars(samples, quantity, connections, inward, small);
    let rows = [false, true].map(|small| [part(small, true), part(small, false)]);
    let height = |row: &[Vec<Bar<'_>>; 2]| match row.iter().map(Vec::len).max() {
        None | Some(0) => 0,
        Some(most) => TITLE + BAR * u32::try_from(most).unwrap_or(0) + SCALE,
    };
    let mut svg = String::new();
    {
        let head = if quantity.legend().is_empty() { HEAD } else { HEAD + LEGEND };
        let size = (WIDTH, head + rows.iter().map(height).sum::<u32>());
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let failed = |error: DrawingAreaErrorKind<_>| error.to_string();
        root.fill(&WHITE).map_err(failed)?;
        let (head, mut below) = root.split_vertically(head);
        draw_head(&head, quantity, connections, caption).map_err(failed)?;
        for (row, size) in [false, true].into_iter().zip(&rows) {
            if height(size) == 0 {
                continue;
            }
            let (now, rest) = below.split_vertically(height(size));
            below = rest;
            let halves = now.split_evenly((1, 2));
            for ((half, bars), towards) in
                halves.iter().zip(size).zip(["in (from the kernel)", "out (to the kernel)"])
            {
                let what = if row { "packets of 1,500 bytes" } else { "large packets" };
                draw_part(half, quantity, &format!("{towards}, {what}"), bars).map_err(failed)?;
            }
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw_head<'a>(
    area: &Area<'a>,
    quantity: Quantity,
    connections: u32,
    caption: &str,
) -> Result<(), Failure<'a>> {
    let plural = if connections == 1 { "" } else { "s" };
    let mut title = format!("{}, {connections} connection{plural}", quantity.title());
    if !caption.is_empty() {
        title += &format!("; {caption}");
    }
    area.draw(&Text::new(title, (16, 24), text(17.0, true, HPos::Left)))?;
    let mut x = 16;
    for (name, color) in quantity.legend() {
        area.draw(&Rectangle::new([(x, 46), (x + 14, 60)], color.filled()))?;
        area.draw(&Text::new(*name, (x + 20, 53), text(13.0, false, HPos::Left)))?;
        x += 52 + 7 * i32::try_from(name.len()).unwrap_or(0);
    }
    Ok(())
}

fn draw_part<'a>(
    area: &Area<'a>,
    quantity: Quantity,
    title: &str,
    bars: &[Bar<'_>],
) -> Result<(), Failure<'a>> {
    if bars.is_empty() {
        return Ok(());
    }
    let (reach, count) = (reach(bars), bars.len() as f64);
    area.draw(&Text::new(title.to_owned(), (16, 16), text(14.0, true, HPos::Left)))?;
    // What this part has fewer bars than its neighbour stays empty.
    let (own, _) = area.split_vertically(TITLE + BAR * bars.len() as u32 + SCALE);
    let mut chart = ChartBuilder::on(&own)
        .margin_top(TITLE)
        .margin_right(FIGURES)
        .set_label_area_size(LabelAreaPosition::Left, NAMES)
        .set_label_area_size(LabelAreaPosition::Bottom, SCALE)
        .build_cartesian_2d(0.0..reach, count..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .x_max_light_lines(1)
        .x_label_formatter(&|value| format!("{}", (value * 1000.0).round() / 1000.0))
        .x_label_style(text(12.0, false, HPos::Center).pos(Pos::new(HPos::Center, VPos::Top)))
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .draw()?;
    for (place, bar) in bars.iter().enumerate() {
        let place = place as f64;
        let mut from = 0.0;
        let colors = SIDES.iter().map(|(_, color)| color);
        for (part, color) in bar.parts.iter().zip(colors) {
            let to = f64::min(from + part, reach);
            let corners = [(from, place + 0.14), (to, place + 0.86)];
            chart.draw_series([Rectangle::new(corners, color.filled())])?;
            from = to;
        }
        let (left, middle) = chart.backend_coord(&(0.0, place + 0.5));
        let (right, _) = chart.backend_coord(&(from, place + 0.5));
        let (x, y) = area.get_base_pixel();
        let at = |pixel| (pixel - x, middle - y);
        let ours = bar.name.starts_with("carrick");
        area.draw(&Text::new(bar.name.to_owned(), at(left - 8), text(13.0, ours, HPos::Right)))?;
        if bar.total > reach * 1.001 {
            // A gap says that the bar goes on.
            let gap = [(right - 16 - x, middle - 9 - y), (right - 12 - x, middle + 9 - y)];
            area.draw(&Rectangle::new(gap, WHITE.filled()))?;
        }
        let figure = quantity.label(bar.total);
        area.draw(&Text::new(figure, at(right + 6), text(13.0, ours, HPos::Left)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "\
round,direction,connections,contestant,bytes,seconds,stack_user,stack_system,client_user,client_system,far_user,far_system,error
0,in,1,carrick/offload,2000000000,0.5,0.1,0.1,0.02,0.08,0,0,
1,in,1,carrick/offload,1000000000,0.5,0.2,0.1,0.01,0.04,0,0,
2,in,1,carrick/offload,1000000000,0.8,0.1,0.1,0.01,0.04,0,0,
0,in,1,relay/offload,1000000000,1,0.1,0.1,0.1,0.1,0.1,0.2,
0,in,1,bare/1500/copying,1000000000,1,0.2,0.4,0.1,0.2,0,0,
0,in,1,carrick/1500,1000000000,1,0.3,0.4,0.1,0.2,0,0,
0,in,1,ipstack/1500,1000000000,4,6,5,0.3,0.3,0,0,
1,in,1,ipstack/1500,,,,,,,,,it has come to a standstill
0,out,16,loopback,1000000000,0.2,0.05,0.1,0.1,0.1,0,0,
";

    #[test]
    fn medians_are_taken_of_what_did_not_fail() {
        let samples = read(CSV).unwrap();
        assert_eq!((samples.len(), connections(&samples)), (8, vec![1, 16]));
        let large = bars(&samples, Quantity::Cpu, 1, true, false);
        let names: Vec<_> = large.iter().map(|bar| bar.name).collect();
        assert_eq!(names, ["carrick/offload", "relay/offload"]);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        // Rounds of 0.15, 0.35 and 0.25 s/GB.
        assert!(near(large[0].total, 0.25) && near(large[0].parts[0], 0.1), "{large:?}");
        assert!(near(large[1].parts[2], 0.2) && near(large[1].parts[3], 0.3), "{large:?}");
        let goodput = bars(&samples, Quantity::Goodput, 1, true, false);
        assert!(near(goodput[0].total, 16.0), "{goodput:?}");
        assert_eq!(bars(&samples, Quantity::Goodput, 16, true, false), []);
    }

    #[test]
    fn a_bar_that_dwarfs_the_others_is_cut() {
        let bar = |total| Bar { name: "x", parts: vec![total], total };
        assert_eq!(reach(&[bar(1.0), bar(3.0), bar(2.0)]), 3.0);
        assert_eq!(reach(&[bar(1.0), bar(30.0), bar(2.0)]), 4.0);
        assert_eq!(reach(&[bar(7.0)]), 7.0);
        assert!(reach(&[bar(0.0)]) > 0.0 && reach(&[]) > 0.0);
    }

    #[test]
    fn pictures_name_everybody_on_a_white_ground() {
        let samples = read(CSV).unwrap();
        for quantity in Quantity::ALL {
            let svg = draw(&samples, quantity, 1, "a <short> run").unwrap();
            assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
            assert!(svg.contains("fill=\"#FFFFFF\"") && svg.contains("a &lt;short&gt; run"), "{svg}");
            for name in [
                "carrick/offload",
                "relay/offload",
                "carrick/1500",
                "ipstack/1500",
                "in (from the kernel), large packets",
            ] {
                assert_eq!(svg.matches(name).count(), 1, "{name}: {svg}");
            }
            assert!(!svg.contains("loopback") && !svg.contains("NaN"), "{svg}");
        }
        let svg = draw(&samples, Quantity::Cpu, 1, "").unwrap();
        assert!(["0.250", "11.60", "client"].iter().all(|text| svg.contains(text)), "{svg}");
        let svg = draw(&samples, Quantity::Cpu, 16, "").unwrap();
        assert!(svg.contains("16 connections") && svg.contains("loopback"), "{svg}");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(read("").unwrap_err().contains("empty"));
        assert!(read("round\n0\n").unwrap_err().contains("line 2: no column error"));
        let broken = CSV.replace("2000000000", "many");
        assert!(read(&broken).unwrap_err().contains("line 2: bytes: "));
    }
}
