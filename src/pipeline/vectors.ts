/** 1 / |row| of each row of (R, D), and 0 for one of zero length, so that its cosine with anything is 0. */
export function inverseNorms(rows: Float32Array, D: number): Float64Array {
  const inverse = new Float64Array(rows.length / D);
  for (let row = 0; row < inverse.length; row++) {
    let squares = 0;
    for (let d = row * D; d < (row + 1) * D; d++) squares += rows[d]! ** 2;
    inverse[row] = squares > 0 ? 1 / Math.sqrt(squares) : 0;
  }
  return inverse;
}

/** Mean of rows (R, D): (D). */
export function meanRow(rows: Float32Array, D: number): Float32Array {
  const sums = new Float64Array(D);
  for (let i = 0; i < rows.length; i++) sums[i % D]! += rows[i]!;
  const count = rows.length / D;
  return Float32Array.from(sums, (sum) => sum / count);
}
