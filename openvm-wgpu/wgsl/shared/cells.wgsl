// A row's cells: of a column whose row 0 is at `word`, in a trace of mask + 1 rows that repeat; or selectors, which are of no column.
//#import shared/field
//#import shared/trace

const NEXT_CELL: u32 = 1u; // of the next row; 0 is a cell of this one
const FIRST_ROW: u32 = 2u;
const LAST_ROW: u32 = 3u;
const TRANSITION: u32 = 4u;

fn cell(word: u32, kind: u32, row: u32, mask: u32) -> u32 {
    if kind <= NEXT_CELL {
        return trace_word(word + ((row + kind) & mask));
    }
    let here = row & mask;
    let is_last = select(0u, ONE, here == mask);
    if kind == FIRST_ROW {
        return select(0u, ONE, here == 0u);
    }
    return select(is_last, f_sub(ONE, is_last), kind == TRANSITION);
}
