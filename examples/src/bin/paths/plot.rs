//! One run as a picture: what was sent and delivered, windows, round trips and the queue, over time.

use carrick_sim::{FlowReport, FlowSample, NetworkReport, PacketKind};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::ops::Range;
use std::time::Duration;

const SIZE: (u32, u32) = (1080, 960);
const HEAD: u32 = 36;
/// More points than this show no more in a picture of that width.
const MOST_POINTS: usize = 2000;
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 90, 160),
    RGBColor(200, 90, 20),
    RGBColor(40, 130, 60),
    RGBColor(150, 50, 140),
    RGBColor(110, 110, 30),
    RGBColor(30, 140, 150),
    RGBColor(190, 50, 60),
    RGBColor(90, 90, 90),
];
const RESENT: RGBColor = RGBColor(210, 30, 30);
const FAINT: RGBColor = RGBColor(225, 225, 225);
const GREY: RGBColor = RGBColor(150, 150, 150);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Points of one quantity, seconds first.
struct Line {
    name: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
    /// As dots instead of a line.
    dots: bool,
}

impl Line {
    fn new(name: &str, color: RGBColor, points: impl Iterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), color, points: points.collect(), dots: false }
    }
}

/// The picture as SVG, from second to second.
///
/// # Errors
/// What plotters says.
pub(crate) fn draw(
    title: &str,
    report: &NetworkReport,
    rate: u64,
    span: &Range<f64>,
) -> Result<String, String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(|error| error.to_string())?;
        let (head, body) = root.split_vertically(HEAD);
        let style = ("sans-serif", 19).into_font().color(&BLACK);
        head.draw_text(title, &style, (16, 12)).map_err(|error| error.to_string())?;
        let span = span.start..span.end.min(report.finished.as_nanos() as f64 / 1e9);
        let panels = body.split_evenly((3, 1));
        panel(&panels[0], "stream, MB", &span, streams(report))?;
        panel(&panels[1], "window, KB", &span, windows(report))?;
        panel(&panels[2], "time, ms", &span, times(report, rate))?;
        root.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

/// Packets as they pass the only sender, or what each has delivered.
fn streams(report: &NetworkReport) -> Vec<Line> {
    if let [flow] = &report.flows[..] {
        let noted = |wanted| {
            let notes = flow.packets.iter().filter(move |note| note.kind == wanted);
            notes.map(|note| (note.at.as_nanos() as f64 / 1e9, note.to as f64 / 1e6))
        };
        return vec![
            Line::new("sent", COLORS[0], noted(PacketKind::Sent)),
            Line::new("acknowledged", COLORS[2], noted(PacketKind::Acknowledged)),
            Line { dots: true, ..Line::new("sent again", RESENT, noted(PacketKind::Resent)) },
        ];
    }
    let mut lines = each(report, "", |sample| Some(sample.delivered as f64 / 1e6));
    for (n, line) in lines.iter_mut().enumerate() {
        line.name = format!("flow {}", n + 1);
    }
    lines
}

fn windows(report: &NetworkReport) -> Vec<Line> {
    let mut lines = each(report, "cwnd", |sample| Some(f64::from(sample.congestion_window) / 1e3));
    if let [flow] = &report.flows[..] {
        let threshold = |sample: &FlowSample| Some(f64::from(sample.slow_start_threshold?) / 1e3);
        lines.push(line(flow, "ssthresh", GREY, threshold));
        lines.push(line(flow, "in flight", COLORS[2], |sample| Some(f64::from(sample.in_flight) / 1e3)));
    }
    lines
}

fn times(report: &NetworkReport, rate: u64) -> Vec<Line> {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut lines = each(report, "round trip", |sample| sample.rtt.map(ms));
    let waits = report
        .queues
        .iter()
        .map(|sample| (sample.at.as_nanos() as f64 / 1e9, sample.there.bytes as f64 * 8e3 / rate as f64));
    lines.push(Line::new("queue", GREY, waits));
    lines
}

/// A line for each flow, as many as there are colours.
fn each(report: &NetworkReport, name: &str, of: impl Fn(&FlowSample) -> Option<f64>) -> Vec<Line> {
    // Of several, the first panel says which is which.
    let name = if report.flows.len() == 1 { name } else { "" };
    report.flows.iter().zip(COLORS).map(|(flow, color)| line(flow, name, color, &of)).collect()
}

fn line(flow: &FlowReport, name: &str, color: RGBColor, of: impl Fn(&FlowSample) -> Option<f64>) -> Line {
    let points =
        flow.samples.iter().filter_map(|sample| Some((sample.at.as_nanos() as f64 / 1e9, of(sample)?)));
    Line::new(name, color, points)
}

/// Those within the span, and not more than can be seen.
fn seen(points: Vec<(f64, f64)>, span: &Range<f64>) -> Vec<(f64, f64)> {
    let points: Vec<_> = points.into_iter().filter(|(at, _)| span.contains(at)).collect();
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    points.into_iter().step_by(step).collect()
}

fn panel(area: &Area<'_>, what: &str, span: &Range<f64>, mut lines: Vec<Line>) -> Result<(), String> {
    for line in &mut lines {
        line.points = seen(std::mem::take(&mut line.points), span);
    }
    let heights = || lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let highest = heights().fold(1e-3, f64::max);
    // A part of a stream begins where it does, all else at zero.
    let lowest =
        Some(heights().fold(highest, f64::min)).filter(|_| span.start > 0.0 && what.starts_with("stream"));
    let lowest = lowest.unwrap_or(0.0);
    let failed = |error: DrawingAreaErrorKind<_>| error.to_string();
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .margin_right(28)
        .x_label_area_size(26)
        .y_label_area_size(64)
        .build_cartesian_2d(
            span.start..span.end.max(span.start + 1e-3),
            lowest..highest + (highest - lowest) * 0.05,
        )
        .map_err(failed)?;
    chart
        .configure_mesh()
        .y_desc(what)
        .x_labels(10)
        .y_labels(5)
        .max_light_lines(1)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .label_style(("sans-serif", 14))
        .draw()
        .map_err(failed)?;
    for line in lines {
        let (color, points) = (line.color, line.points);
        let series = if line.dots {
            let dots = points.into_iter().map(|point| Circle::new(point, 2, color.filled()));
            chart.draw_series(dots).map_err(failed)?
        } else {
            chart.draw_series([PathElement::new(points, color)]).map_err(failed)?
        };
        series
            .label(&line.name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 14))
        .draw()
        .map_err(failed)
}
