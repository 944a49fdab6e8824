//! Command templates with GNU parallel's placeholders.

/// A command line with placeholders, parsed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    words: Vec<Box<[u8]>>,
}

impl Template {
    /// Parses the words after `--`.
    pub fn parse(words: Vec<Box<[u8]>>) -> Self {
        Template { words }
    }

    /// The command for one job.
    pub fn fill(&self, _line: &[u8], _number: u64, _worker: u32) -> Vec<Box<[u8]>> {
        self.words.clone()
    }
}
