// Which of a table's entries a place belongs to, where they follow each other in ascending order. A kernel says where one starts: entry_start(i) -> u32.

// The last of the entries begin .. end that starts at `place` or before it; `begin` if none does. At most 32 steps.
fn entry_of(begin: u32, end: u32, place: u32) -> u32 {
    var own = begin;
    var after = end;
    while after - own > 1u {
        let middle = (own + after) / 2u;
        if entry_start(middle) <= place {
            own = middle;
        } else {
            after = middle;
        }
    }
    return own;
}
