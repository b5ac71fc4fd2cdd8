//! Units of measurement, written as UCUM codes.
//!
//! Owns the table of units and linear conversion between units of one dimension. Only what packs need is in it; a new
//! unit is one line.

use super::suggest;

/// What a unit measures. Only units of one dimension convert into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Temperature.
    Temperature,
    /// Time.
    Time,
    /// Length.
    Length,
    /// Mass.
    Mass,
    /// Cells per volume of blood.
    CellCount,
    /// Mass per volume.
    MassConcentration,
    /// Events per time.
    Rate,
    /// Pressure.
    Pressure,
    /// A pure number.
    One,
}

/// A unit: `base = value * factor + offset` in the dimension's base unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// UCUM code.
    pub code: &'static str,
    /// In words, for messages.
    pub name: &'static str,
    /// What it measures.
    pub dimension: Dimension,
    factor: f64,
    offset: f64,
}

const fn unit(code: &'static str, name: &'static str, dimension: Dimension, factor: f64, offset: f64) -> Unit {
    Unit { code, name, dimension, factor, offset }
}

/// Every unit that is known. UCUM defines the mean month as 30.4375 d and the mean Julian year as 365.25 d.
pub const UNITS: &[Unit] = &[
    unit("Cel", "degrees Celsius", Dimension::Temperature, 1.0, 0.0),
    unit("[degF]", "degrees Fahrenheit", Dimension::Temperature, 5.0 / 9.0, -160.0 / 9.0),
    unit("K", "kelvin", Dimension::Temperature, 1.0, -273.15),
    unit("s", "seconds", Dimension::Time, 1.0, 0.0),
    unit("min", "minutes", Dimension::Time, 60.0, 0.0),
    unit("h", "hours", Dimension::Time, 3_600.0, 0.0),
    unit("d", "days", Dimension::Time, 86_400.0, 0.0),
    unit("wk", "weeks", Dimension::Time, 604_800.0, 0.0),
    unit("mo", "months", Dimension::Time, 2_629_800.0, 0.0),
    unit("a", "years", Dimension::Time, 31_557_600.0, 0.0),
    unit("mm", "millimetres", Dimension::Length, 1.0, 0.0),
    unit("cm", "centimetres", Dimension::Length, 10.0, 0.0),
    unit("m", "metres", Dimension::Length, 1_000.0, 0.0),
    unit("[in_i]", "inches", Dimension::Length, 25.4, 0.0),
    unit("g", "grams", Dimension::Mass, 1.0, 0.0),
    unit("kg", "kilograms", Dimension::Mass, 1_000.0, 0.0),
    unit("[lb_av]", "pounds", Dimension::Mass, 453.592_37, 0.0),
    unit("10*9/L", "thousand million per litre", Dimension::CellCount, 1.0, 0.0),
    unit("10*3/uL", "thousand per microlitre", Dimension::CellCount, 1.0, 0.0),
    unit("/uL", "per microlitre", Dimension::CellCount, 0.001, 0.0),
    unit("g/L", "grams per litre", Dimension::MassConcentration, 1.0, 0.0),
    unit("g/dL", "grams per decilitre", Dimension::MassConcentration, 10.0, 0.0),
    unit("mg/L", "milligrams per litre", Dimension::MassConcentration, 0.001, 0.0),
    unit("mg/dL", "milligrams per decilitre", Dimension::MassConcentration, 0.01, 0.0),
    unit("/d", "per day", Dimension::Rate, 365.25, 0.0),
    unit("/wk", "per week", Dimension::Rate, 365.25 / 7.0, 0.0),
    unit("/mo", "per month", Dimension::Rate, 12.0, 0.0),
    unit("/a", "per year", Dimension::Rate, 1.0, 0.0),
    unit("/min", "per minute", Dimension::Rate, 525_960.0, 0.0),
    unit("mm[Hg]", "millimetres of mercury", Dimension::Pressure, 1.0, 0.0),
    unit("kPa", "kilopascals", Dimension::Pressure, 7.500_616_8, 0.0),
    unit("1", "no unit", Dimension::One, 1.0, 0.0),
    unit("%", "per cent", Dimension::One, 0.01, 0.0),
];

/// Looks a UCUM code up.
#[must_use]
pub fn find(code: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.code == code)
}

/// The codes among `units` whose code or name is near a wrong one, as help text.
#[must_use]
pub fn did_you_mean<'a>(wrong: &str, units: impl Iterator<Item = &'a Unit> + Clone) -> Option<String> {
    if let Some(help) = suggest::did_you_mean(wrong, units.clone().map(|unit| unit.code)) {
        return Some(help);
    }
    let wrong = wrong.to_lowercase();
    let by_name = |unit: &&Unit| {
        wrong.len() >= 3
            && unit
                .name
                .to_lowercase()
                .split(' ')
                .any(|word| word.starts_with(&wrong) || wrong.starts_with(word.trim_end_matches('s')))
    };
    let near: Vec<&str> = units.filter(by_name).map(|unit| unit.code).take(3).collect();
    (!near.is_empty()).then(|| format!("did you mean {}?", suggest::quoted(&near)))
}

impl Unit {
    /// Converts `value` from this unit into `to`, rounded to the millionth so that a boundary stays a boundary
    /// (98.6 degF is 37 Cel). `None` when the two measure different things.
    #[must_use]
    pub fn convert(&self, value: f64, to: &Unit) -> Option<f64> {
        if self.code == to.code {
            return Some(value);
        }
        self.convert_exactly(value, to).map(|value| libm::round(value * 1e6) / 1e6)
    }

    /// The same without rounding.
    #[must_use]
    pub fn convert_exactly(&self, value: f64, to: &Unit) -> Option<f64> {
        let base = value * self.factor + self.offset;
        (self.dimension == to.dimension).then(|| (base - to.offset) / to.factor)
    }

    /// All units that measure the same, this one too.
    pub fn siblings(&self) -> impl Iterator<Item = &'static Unit> + Clone + use<> {
        let dimension = self.dimension;
        UNITS.iter().filter(move |other| other.dimension == dimension)
    }

    /// What to write instead of a unit that does not fit this one.
    #[must_use]
    pub fn instead_of(&self, wrong: &str) -> String {
        did_you_mean(wrong, self.siblings()).unwrap_or_else(|| {
            let codes: Vec<&str> = self.siblings().map(|unit| unit.code).collect();
            format!("write one of {} (UCUM)", suggest::quoted(&codes))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    fn convert(value: f64, from: &str, to: &str) -> Option<f64> {
        find(from)?.convert(value, find(to)?)
    }

    #[test]
    fn boundaries_survive_conversion() {
        assert_eq!(convert(100.4, "[degF]", "Cel"), Some(38.0));
        assert_eq!(convert(98.6, "[degF]", "Cel"), Some(37.0));
        assert_eq!(convert(311.15, "K", "Cel"), Some(38.0));
        assert_eq!(convert(3.0, "mo", "a"), Some(0.25));
        assert_eq!(convert(12.0, "mo", "a"), Some(1.0));
        assert_eq!(convert(2.0, "wk", "d"), Some(14.0));
        assert_eq!(convert(12.0, "g/dL", "g/L"), Some(120.0));
    }

    #[test]
    fn different_dimensions_do_not_convert() {
        assert_eq!(convert(1.0, "Cel", "a"), None);
    }
}
