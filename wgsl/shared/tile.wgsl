// One workgroup works on one tile: a part of one job. Every kernel of a call is dispatched over a table of tiles, so that the
// jobs of many AIRs share a dispatch.
struct Tile {
    job: u32,       // index into the kernel's job table
    chunk: u32,     // which run of consecutive x
    col_group: u32, // which run of consecutive used columns (column_sums)
    z_block: u32,   // which run of consecutive z, for skip domains larger than a workgroup's share
}

// Grids are folded into two dimensions, because one dimension holds 65,535 workgroups.
fn tile_index(workgroup: vec3<u32>, grid: vec3<u32>) -> u32 {
    return workgroup.y * grid.x + workgroup.x;
}
