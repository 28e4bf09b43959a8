//! Where straight-line code keeps its results.

/// Slots for the results of steps, few of them: a result's slot is free again once its last reader has read it, and that reader's own result may
/// be the first to have it.
///
/// # Shapes
/// `operands[i]`: the earlier steps whose results step `i` reads. `has_result(i)`: whether step `i` has one. The results of `kept` steps stay.
/// Returns each step's slot, 0 for one without a result, and the number of slots.
///
/// # Panics
/// If an operand or a kept step is no step, or an operand comes after its reader.
pub(crate) fn assign_slots(operands: &[[Option<u32>; 2]], has_result: impl Fn(usize) -> bool, kept: &[u32]) -> (Vec<u32>, usize) {
    const NEVER: usize = usize::MAX;
    let mut last_read = vec![0; operands.len()];
    for (at, operands) in operands.iter().enumerate() {
        for &operand in operands.iter().flatten() {
            last_read[operand as usize] = at;
        }
    }
    for &step in kept {
        last_read[step as usize] = NEVER;
    }
    let (mut slots, mut free, mut num_slots): (Vec<u32>, Vec<u32>, u32) = (Vec::with_capacity(operands.len()), vec![], 0);
    for (at, &[first, second]) in operands.iter().enumerate() {
        let read = [first, second.filter(|_| second != first)].into_iter().flatten();
        free.extend(read.filter(|&operand| last_read[operand as usize] == at).map(|operand| slots[operand as usize]));
        let mut slot = || {
            free.pop().unwrap_or_else(|| {
                num_slots += 1;
                num_slots - 1
            })
        };
        slots.push(if has_result(at) { slot() } else { 0 });
    }
    (slots, num_slots as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_after_its_last_reader() {
        // 0, 1 are there; 2 = f(0, 1), 3 = f(2, 2), 4 reads 3 and has no result, 5 = f(0, 3).
        let operands = [[None; 2], [None; 2], [Some(0), Some(1)], [Some(2), Some(2)], [Some(3), None], [Some(0), Some(3)]];
        let (slots, num_slots) = assign_slots(&operands, |at| at != 4, &[]);
        // 1 dies with 2, which takes its place; so does 3 after it. 5 takes that of the last that died.
        assert_eq!((slots, num_slots), (vec![0, 1, 1, 1, 0, 1], 2));
        let (slots, num_slots) = assign_slots(&operands, |at| at != 4, &[1, 2]);
        assert_eq!((slots, num_slots), (vec![0, 1, 2, 3, 0, 3], 4));
    }
}
