//! `fltk schema`: the JSON Schemas of our files.

use crate::{cli::SchemaArgs, output};

/// Prints the schema.
///
/// # Errors
/// If standard output is closed.
pub fn run(args: &SchemaArgs) -> anyhow::Result<()> {
    #[cfg(feature = "cluster")]
    if args.kubernetes {
        return output::json(fltk_kubernetes::config::KubernetesConfig::json_schema());
    }
    let SchemaArgs { .. } = args;
    output::json(&fltk_experiment::json_schema(crate::catalogues()))
}
