// A row's cells: of a column whose row 0 is at `word`, in a trace of mask + 1 rows that repeat; or selectors, which are of no column.
//#import shared/field
//#import shared/trace

const NEXT_CELL: u32 = 1u; // of the next row; 0 is a cell of this one
const FIRST_ROW: u32 = 2u;
const LAST_ROW: u32 = 3u;

fn cell(word: u32, kind: u32, row: u32, mask: u32) -> u32 {
    if kind <= NEXT_CELL {
        return trace_word(word + ((row + kind) & mask));
    }
    return select(0u, ONE, (row & mask) == select(mask, 0u, kind == FIRST_ROW));
}
