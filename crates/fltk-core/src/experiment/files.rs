//! The files of the user's that the settings of a task name, such as the file of a partition. Not among them are the data set and a TorchScript
//! module, which have settings of their own.

use super::{Setting, SimulationConfig, Training};

impl Training {
    /// Returns the settings that name files, such as `federated.partition.path`, and the path of each: relative to the experiment file, unless it is
    /// absolute.
    #[must_use]
    pub fn files(&self) -> Vec<(String, &str)> {
        let Setting::Federated(config) = &self.setting else { return Vec::new() };
        let mut files = Vec::new();
        for (block, choice) in [("partition", &config.partition), ("selection", &config.selection), ("strategy", &config.strategy)] {
            files.extend(choice.paths().into_iter().map(|(parameter, path)| (format!("federated.{block}.{parameter}"), path)));
        }
        for (block, choice) in config.simulation.iter().flat_map(SimulationConfig::choices) {
            files.extend(choice.paths().into_iter().map(|(parameter, path)| (format!("federated.simulation.{block}.{parameter}"), path)));
        }
        files
    }

    /// Applies `change` to the path of each of the [`files`](Self::files).
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn change_files<E>(&mut self, change: &dyn Fn(&str) -> Result<String, E>) -> Result<(), E> {
        let Setting::Federated(config) = &mut self.setting else { return Ok(()) };
        let simulation = config.simulation.iter_mut().flat_map(SimulationConfig::choices_mut).map(|(_, choice)| choice);
        for choice in [&mut config.partition, &mut config.selection, &mut config.strategy].into_iter().chain(simulation) {
            *choice = choice.clone().with_paths(change)?;
        }
        Ok(())
    }
}
