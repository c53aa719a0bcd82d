//! `chart-values CHART`: prints the JSON Schema of a Helm chart's values, for `cargo xtask gen`. Users need none of this: Helm reads the schema from the chart.

mod values;

use anyhow::Context as _;

use self::values::Chart;

fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let chart = Chart::named(&name).with_context(|| format!("there is no chart `{name}`"))?;
    println!("{}", serde_json::to_string_pretty(&values::json_schema(chart))?);
    Ok(())
}
