// Layered drawing of an acyclic graph: layers by the longest path, order by the middle of the
// neighbours, places by the same under the distances that sizes ask for. After Sugiyama, Tagawa and
// Toda, IEEE Trans. SMC 11 (1981). Edges over many layers run beside the drawing.

const GAP_X = 22;
const GAP_Y = 26;
const LONG = 7;

// boxes: { w, h }; edges: [from, to] with from < to. Gives places of boxes, paths and the size.
const layered = (boxes, edges, gapX = GAP_X, gapY = GAP_Y) => {
  const rank = layers(boxes.length, edges);
  const items = boxes.map((box, place) => ({ w: box.w, h: box.h, rank: rank[place], near: [] }));
  const paths = edges.map(([from, to]) => {
    const span = rank[to] - rank[from];
    if (span > LONG) return { from, to, long: true, over: [] };
    const over = [];
    for (let layer = rank[from] + 1; layer < rank[to]; layer += 1) {
      over.push(items.push({ w: 6, h: 0, rank: layer, near: [] }) - 1);
    }
    const chain = [from, ...over, to];
    for (let n = 1; n < chain.length; n += 1) {
      items[chain[n - 1]].near.push(chain[n]);
      items[chain[n]].near.push(chain[n - 1]);
    }
    return { from, to, long: false, over };
  });
  const rows = [];
  items.forEach((item, place) => (rows[item.rank] = rows[item.rank] || []).push(place));
  order(rows, items);
  placeAcross(rows, items, gapX);
  const size = placeDown(rows, items, gapY);
  const lines = paths.map((path) => line(path, items, size));
  const sides = paths.some((path) => path.long) ? 40 : 0;
  return { places: items.slice(0, boxes.length), lines, width: size.width + sides, height: size.height };
};

const layers = (count, edges) => {
  const rank = new Array(count).fill(0);
  const after = Array.from({ length: count }, () => []);
  const fed = new Array(count).fill(false);
  for (const [from, to] of edges) { after[from].push(to); fed[to] = true; }
  for (let place = 0; place < count; place += 1) {
    for (const next of after[place]) rank[next] = Math.max(rank[next], rank[place] + 1);
  }
  for (let place = count - 1; place >= 0; place -= 1) {  // what nothing feeds stands by its user
    if (!fed[place] && after[place].length) {
      rank[place] = Math.min(...after[place].map((next) => rank[next])) - 1;
    }
  }
  return rank;
};

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

const order = (rows, items) => {
  const stamp = () => rows.forEach((row) => row.forEach((place, n) => { items[place].n = n; }));
  stamp();
  for (let sweep = 0; sweep < 10; sweep += 1) {
    const walk = sweep % 2 ? [...rows].reverse() : rows;
    for (const row of walk) {
      for (const place of row) {
        const item = items[place];
        const side = item.near.filter((other) => (items[other].rank < item.rank) === (sweep % 2 === 0));
        item.middle = side.length ? mean(side.map((other) => items[other].n)) : item.n;
      }
      row.sort((a, b) => items[a].middle - items[b].middle || items[a].n - items[b].n);
      row.forEach((place, n) => { items[place].n = n; });
    }
  }
};

const placeAcross = (rows, items, gap) => {
  for (const row of rows) {
    let x = 0;
    for (const place of row) { items[place].x = x + items[place].w / 2; x += items[place].w + gap; }
    const shift = x / 2;
    for (const place of row) items[place].x -= shift;
  }
  for (let sweep = 0; sweep < 14; sweep += 1) {
    for (const row of sweep % 2 ? [...rows].reverse() : rows) spread(row, items, gap);
  }
  const left = Math.min(...items.map((item) => item.x - item.w / 2));
  for (const item of items) item.x -= left;
};

// Each to the middle of its neighbours as far as those beside it allow.
const spread = (row, items, gap) => {
  const wish = row.map((place) => {
    const near = items[place].near;
    return near.length ? mean(near.map((other) => items[other].x)) : items[place].x;
  });
  const apart = (n) => (items[row[n - 1]].w + items[row[n]].w) / 2 + gap;
  const right = [...wish];
  for (let n = 1; n < row.length; n += 1) right[n] = Math.max(right[n], right[n - 1] + apart(n));
  const left = [...wish];
  for (let n = row.length - 2; n >= 0; n -= 1) left[n] = Math.min(left[n], left[n + 1] - apart(n + 1));
  row.forEach((place, n) => { items[place].x = (left[n] + right[n]) / 2; });
};

const placeDown = (rows, items, gap) => {
  let y = 0;
  for (const row of rows) {
    const tall = Math.max(...row.map((place) => items[place].h));
    for (const place of row) { items[place].y = y + tall / 2; }
    y += tall + gap;
  }
  return { width: Math.max(...items.map((item) => item.x + item.w / 2)), height: y - gap };
};

const line = (path, items, size) => {
  const [from, to] = [items[path.from], items[path.to]];
  const start = [from.x, from.y + from.h / 2];
  const end = [to.x, to.y - to.h / 2];
  if (path.long) {
    const side = size.width + 14 + ((path.from * 7) % 24);
    const out = [from.x + from.w / 2, from.y];
    const back = [to.x + to.w / 2, to.y];
    const text = `M${out}C${side},${out[1]} ${side},${out[1]} ${side},${out[1] + 30}`
      + `V${back[1] - 30}C${side},${back[1]} ${side},${back[1]} ${back}`;
    return { ...path, text };
  }
  const points = [start, ...path.over.map((place) => [items[place].x, items[place].y]), end];
  let text = `M${points[0]}`;
  for (let n = 1; n < points.length; n += 1) {
    const [[x, y], [u, v]] = [points[n - 1], points[n]];
    text += `C${x},${(y + v) / 2} ${u},${(y + v) / 2} ${u},${v}`;
  }
  return { ...path, text };
};
