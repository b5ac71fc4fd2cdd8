//! Plots as SVG, drawn by the benches themselves: lines over logarithmic axes. Knows nothing of what is measured.

use std::fmt::Write as _;
use std::path::Path;

const COLOURS: [&str; 4] = ["#1b6ca8", "#c2571a", "#4f7f3b", "#7a4fa3"];
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

pub struct Plot {
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    /// Points above zero, each line with its name.
    pub lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

/// From a value to its place between two powers of ten that hold them all.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) =
            values.map(f64::log10).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let low = low.floor();
        Self { low, high: high.ceil().max(low + 1.0), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn powers(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|power| 10_f64.powi(power))
    }
}

impl Plot {
    /// Writes the plot to a file.
    pub fn write(&self, path: &Path) {
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let x = Axis::new(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let y = Axis::new(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}</text>\n",
            self.title
        );
        for power in x.powers() {
            let place = x.place(power);
            let (top, bottom) = (TOP, HEIGHT - BOTTOM);
            line(&mut svg, (place, top), (place, bottom));
            text(&mut svg, (place, bottom + 18.0), "middle", &short(power));
        }
        for power in y.powers() {
            let place = y.place(power);
            line(&mut svg, (LEFT, place), (WIDTH - RIGHT, place));
            text(&mut svg, (LEFT - 8.0, place + 4.0), "end", &short(power));
        }
        text(&mut svg, ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0), "middle", self.x);
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        writeln!(
            svg,
            "<text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            self.y
        )
        .expect("text");
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let places: Vec<String> =
                points.iter().map(|&(a, b)| format!("{:.1},{:.1}", x.place(a), y.place(b))).collect();
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                places.join(" ")
            )
            .expect("text");
            if let Some(&(a, b)) = points.last() {
                writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
                    x.place(a) + 8.0,
                    y.place(b) + 4.0
                )
                .expect("text");
            }
        }
        svg.push_str("</svg>\n");
        std::fs::write(path, svg).expect("a plot is written");
        println!("wrote {}", path.display());
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/>",
        from.0, from.1, to.0, to.1
    )
    .expect("text");
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>", at.0, at.1).expect("text");
}

fn short(power: f64) -> String {
    match power {
        1e6.. => format!("{} million", power / 1e6),
        1e3.. => format!("{},000", power / 1e3),
        _ => format!("{power}"),
    }
}
