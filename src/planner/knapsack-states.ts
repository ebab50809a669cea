// Partial choices of the core as undominated pairs (d, r): cost changed, loss at the multiplier.

/** Ascending in d; value r - lambda * d strictly falling. */
export interface StateList {
  size: number
  d: Float64Array
  r: Float64Array
  /** Index of the state before the last channel. */
  parent: Int32Array
  /** The last channel's deviation, -1 for none. */
  deviation: Int32Array
}

export function stateList(capacity = 1024): StateList {
  return {
    size: 0,
    d: new Float64Array(capacity),
    r: new Float64Array(capacity),
    parent: new Int32Array(capacity),
    deviation: new Int32Array(capacity),
  }
}

/** Room for `capacity` states; what the list held is lost. */
function makeRoom(list: StateList, capacity: number): void {
  if (list.d.length < capacity) Object.assign(list, stateList(Math.max(capacity, Math.ceil(list.d.length * 1.5))))
}

/** What a state must promise to be kept. */
export interface Limits {
  readonly lambda: number
  readonly room: number
  /** Loss of the best solution known; a state is kept when it may lead to less. */
  readonly gap: number
  /** Least loss per unit by which the remaining channels can raise or lower the cost. */
  readonly upward: number
  readonly downward: number
  /** By how much the remaining channels can lower the cost at most. */
  readonly saving: number
}

/**
 * Merges the states `so far` of a channel with those of `before` moved by one deviation, keeping what is neither dominated
 * nor beyond the limits. A bound counts as beyond the gap from half a unit below it: losses are integers below 2^51, and
 * the bound's rounding errors stay below 3/8.
 */
export function mergeMoved(
  soFar: StateList,
  before: StateList,
  move: { readonly dc: number; readonly rc: number; readonly deviation: number },
  { lambda, room, gap, upward, downward, saving }: Limits,
  out: StateList,
): void {
  makeRoom(out, soFar.size + before.size)
  const { dc, rc, deviation } = move
  const ceiling = gap - 0.5
  const rising = Math.min(lambda, upward)
  let lastD = 0
  let lastR = Number.POSITIVE_INFINITY
  let size = 0
  let a = 0
  let b = 0
  while (a < soFar.size || b < before.size) {
    const da = a < soFar.size ? soFar.d[a] : Number.POSITIVE_INFINITY
    const db = b < before.size ? before.d[b] + dc : Number.POSITIVE_INFINITY
    const own = da < db || (da === db && soFar.r[a] <= before.r[b] + rc)
    const d = own ? da : db
    const r = own ? soFar.r[a] : before.r[b] + rc
    const short = room - d
    const promise = short >= 0 ? r + rising * short : r - downward * short
    if (promise <= ceiling && short + saving >= 0 && r < lastR + lambda * (d - lastD)) {
      out.d[size] = lastD = d
      out.r[size] = lastR = r
      out.parent[size] = own ? soFar.parent[a] : b
      out.deviation[size++] = own ? soFar.deviation[a] : deviation
    }
    if (own) a++
    else b++
  }
  out.size = size
}
