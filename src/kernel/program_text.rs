//! The generated part of a kernel.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// The text of a generated program, hashed once: equal texts share a kernel, and looking one up costs no walk over it.
#[derive(Clone, Debug, Eq)]
pub struct ProgramText {
    text: Arc<str>,
    hash: u64,
}

impl ProgramText {
    /// This text.
    pub fn new(text: String) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { hash: hasher.finish(), text: text.into() }
    }
}

impl Deref for ProgramText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl PartialEq for ProgramText {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Hash for ProgramText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
