// Curves averaged over the seeds of a setting: the mean, in a band from the lowest to the highest.
const MOST_POINTS = 400; // of a mean

// The finished runs of a setting or, if there are none, all; the last one of each seed.
function members(D, group, there) {
  const runs = there.filter((i) => D.runs[i].group === group);
  const finished = runs.filter((i) => D.runs[i].status === "finished");
  return [...new Map((finished.length ? finished : runs).map((i) => [D.runs[i].seed, i])).values()];
}

function between(times, y, time) {
  const after = times.findIndex((other) => other >= time);
  if (times[after] === time || after === 0) return y[after];
  const fraction = (time - times[after - 1]) / (times[after] - times[after - 1]);
  return y[after - 1] + fraction * (y[after] - y[after - 1]);
}

function shared_times(curves) {
  const first = Math.max(...curves.map(({ times }) => times[0]));
  const last = Math.min(...curves.map(({ times }) => times.at(-1)));
  const all = [...new Set(curves.flatMap(({ times }) => times))].filter((time) => time >= first && time <= last);
  const kept = all.sort((a, b) => a - b);
  const step = Math.max(1, Math.ceil(kept.length / MOST_POINTS));
  return kept.filter((_, k) => k % step === 0 || k === kept.length - 1);
}

function over_seeds(D, runs, name, axis) {
  const curves = runs.map((i) => ({ times: D.curves[i][name][axis], y: D.curves[i][name].y }));
  const times = shared_times(curves);
  const values = times.map((time) => curves.map(({ times: own, y }) => between(own, y, time)));
  return {
    times,
    mean: values.map((of_seeds) => of_seeds.reduce((sum, value) => sum + value, 0) / of_seeds.length),
    low: values.map((of_seeds) => Math.min(...of_seeds)),
    high: values.map((of_seeds) => Math.max(...of_seeds)),
  };
}
