//! The examples' arguments.

use std::{fmt::Display, str::FromStr};

/// Arguments that were not read yet, and the line that says what there may be.
pub struct Args {
    rest: pico_args::Arguments,
    usage: &'static str,
}

impl Args {
    pub fn new(usage: &'static str) -> Self {
        Self { rest: pico_args::Arguments::from_env(), usage }
    }

    /// Whether a flag is there.
    pub fn flag(&mut self, name: &'static str) -> bool {
        self.rest.contains(name)
    }

    /// An option's value, if the option is there and the value is one that it may have.
    pub fn option<T: FromStr<Err: Display>>(&mut self, name: &'static str, may_be: impl Fn(&T) -> bool) -> Option<T> {
        match self.rest.opt_value_from_str(name) {
            Ok(value) if value.as_ref().is_none_or(may_be) => value,
            _ => self.refuse(),
        }
    }

    /// Refuses what is left.
    pub fn end(self) {
        if !self.rest.clone().finish().is_empty() {
            self.refuse()
        }
    }

    fn refuse(&self) -> ! {
        eprintln!("usage: {}", self.usage);
        std::process::exit(2)
    }
}
