/**
 * How likely it is that of two runs that answer alike, rows which only one of them gets right are shared out at least as unevenly:
 * the two-sided exact form of McNemar's test (1947), a sign test on those rows. Rows that both get right, or both wrong, say nothing
 * of a difference.
 *
 * @param better rows that only the second run gets right
 * @param worse rows that only the first gets right
 */
export function mcNemar(better: number, worse: number): number {
  const n = better + worse;
  const fewer = Math.min(better, worse);
  // log of the binomial coefficient × 2^-n, from one term to the next.
  let log = -n * Math.LN2;
  let sum = Math.exp(log);
  for (let k = 1; k <= fewer; k++) {
    log += Math.log((n - k + 1) / k);
    sum += Math.exp(log);
  }
  return Math.min(1, 2 * sum);
}
