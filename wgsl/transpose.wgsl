// out[column][row] = rows[row][columns[column]]: chosen columns of row-major matrices, as column-major matrices.
//
// Grid: one workgroup per tile (32 rows, 32 of the chosen columns) of a job. Thread bits, low to high: 5 for the column that is read, or the row
// that is written; 3 for the row that is read, or the column that is written, of which a thread takes every eighth.
// | binding | shape and element                                   |
// | tiles   | [num_tiles] Tile                                     |
// | jobs    | [num_jobs] TransposeJob                              |
// | columns | [num_columns] u32 at columns_base                    |
// | rows    | [num_rows][width] u32 at rows_base                   |
// | out     | [num_columns][column_words] u32 at out_base, a row every row_stride words |
// Workgroup memory: 4,224 bytes (block). Barriers: one, reached by every thread.
//#import shared/tile

const WORKGROUP_SIZE: u32 = 256u;
const SIDE: u32 = 32u;
const STRIDE: u32 = 33u; // not a multiple of the memory's banks
const LANES: u32 = WORKGROUP_SIZE / SIDE;

struct TransposeJob {
    rows_base: u32,    // word of row 0
    width: u32,        // words per row
    num_rows: u32,
    columns_base: u32, // index of the first chosen column
    num_columns: u32,  // chosen ones
    out_base: u32,     // word of (column 0, row 0)
    column_words: u32, // words per column of `out`
    row_stride: u32,   // words per row of `out`
    copies: u32,       // how often a column is stored, its copies dividing its words evenly
}

@group(0) @binding(0) var<storage, read> tiles: array<Tile>;
@group(0) @binding(1) var<storage, read> jobs: array<TransposeJob>;
@group(0) @binding(2) var<storage, read> columns: array<u32>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;

var<workgroup> block: array<u32, SIDE * STRIDE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = tile_index(workgroup, grid);
    if index >= arrayLength(&tiles) {
        return;
    }
    let tile = tiles[index];
    let job = jobs[tile.job];
    let low = thread & (SIDE - 1u);
    let high = thread / SIDE;
    let first_row = tile.chunk * SIDE;
    let first_column = tile.col_group * SIDE;
    let num_rows = min(SIDE, job.num_rows - first_row);
    let num_columns = min(SIDE, job.num_columns - first_column);

    if low < num_columns {
        let first = job.rows_base + first_row * job.width + columns[job.columns_base + first_column + low];
        for (var row = high; row < num_rows; row += LANES) {
            block[row * STRIDE + low] = rows[first + row * job.width];
        }
    }
    workgroupBarrier();
    if low < num_rows {
        for (var column = high; column < num_columns; column += LANES) {
            let to = job.out_base + (first_column + column) * job.column_words + (first_row + low) * job.row_stride;
            for (var copy = 0u; copy < job.copies; copy++) {
                out[to + copy * (job.column_words / job.copies)] = block[low * STRIDE + column];
            }
        }
    }
}
