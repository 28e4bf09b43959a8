//! `eq` of every cube of a step, as split tables: `eq[x] = low[x mod 2^log_low] * high[x >> log_low]`.

use std::{collections::HashMap, ops::Range};

use p3_field::PrimeCharacteristicRing;

use super::Work;
use crate::{
    field::{self, EF, EXT_WORDS},
    plan::geometry::LOG_EQ_LOW,
    round0::prepared::{Eq, Prepared, eq_evals},
};

/// The tables of one cube: their first elements in the `eq` buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EqOf {
    pub low: u32,
    pub high: u32,
    pub log_low: u32,
}

/// The `eq` buffer of a step.
#[derive(Debug, Default)]
pub(crate) struct EqTables {
    /// For each instance of the call; of those that the step has no work for, zeros.
    pub of: Vec<EqOf>,
    /// For each table, of which of the call's challenges `xi` it is `eq`; `None` if one is of another kind.
    pub sources: Option<Vec<Range<usize>>>,
    /// The buffer's content; empty where it is still there from the step before.
    pub content: Vec<u32>,
    /// EF elements of the buffer.
    pub num_elements: u64,
}

impl EqTables {
    /// Two small tables for each cube, whose products the kernels take; one for all cubes that take the same challenges. Given evaluations are one long table.
    pub fn split(instances: &[Prepared<'_>], work: &[Work]) -> Self {
        let mut tables = Self { of: vec![EqOf::default(); instances.len()], sources: Some(vec![]), ..Self::default() };
        // All cubes' challenges are the first of one list.
        let mut known: HashMap<Range<usize>, u32> = HashMap::new();
        // Evaluations are long: the same ones are known by where they lie, and how many.
        let mut known_evals: HashMap<(*const EF, usize), EqOf> = HashMap::new();
        for of_instance in work.chunk_by(|a, b| a.instance == b.instance) {
            let instance = of_instance[0].instance;
            tables.of[instance] = match instances[instance].eq {
                Eq::Challenges(xi) => {
                    let middle = xi.len().min(LOG_EQ_LOW as usize);
                    let [low, high] = [0..middle, middle..xi.len()].map(|of| {
                        let of = if of.is_empty() { 0..0 } else { of };
                        *known.entry(of.clone()).or_insert_with(|| {
                            tables.sources.iter_mut().for_each(|sources| sources.push(of.clone()));
                            tables.add(&eq_evals(&xi[of]))
                        })
                    });
                    EqOf { low, high, log_low: middle as u32 }
                }
                Eq::Evals(evals) => *known_evals.entry((evals.as_ptr(), evals.len())).or_insert_with(|| {
                    tables.sources = None;
                    let high = *known.entry(0..0).or_insert_with(|| tables.add(&[EF::ONE]));
                    EqOf { low: tables.add(evals), high, log_low: evals.len().ilog2() }
                }),
            };
        }
        tables
    }

    /// Adds a table: its first element.
    pub fn add(&mut self, evals: &[EF]) -> u32 {
        evals.iter().for_each(|&eval| self.content.extend_from_slice(&field::ext_words(eval)));
        let base = self.num_elements as u32;
        self.num_elements += evals.len() as u64;
        base
    }

    /// Bytes of the buffer.
    pub fn bytes(&self) -> u64 {
        4 * EXT_WORDS as u64 * self.num_elements
    }
}
