// Partial choices of the core as undominated pairs (d, v): by how much cost and value differ from the base choice's.

/** d strictly ascending, v strictly falling. */
export interface StateList {
  size: number
  d: Float64Array
  v: Float64Array
  /** Index of the state before the last channel. */
  parent: Int32Array
  /** The last channel's deviation, -1 for none. */
  deviation: Int32Array
}

export function stateList(capacity = 1024): StateList {
  return {
    size: 0,
    d: new Float64Array(capacity),
    v: new Float64Array(capacity),
    parent: new Int32Array(capacity),
    deviation: new Int32Array(capacity),
  }
}

/** Room for `capacity` states; what the list held is lost. */
function makeRoom(list: StateList, capacity: number): void {
  if (list.d.length < capacity) Object.assign(list, stateList(Math.max(capacity, Math.ceil(list.d.length * 1.5))))
}

export interface Move {
  readonly dc: number
  readonly dv: number
  readonly deviation: number
}

/** What a state must promise to be kept. */
export interface Limits {
  readonly room: number
  /** Value of the best solution known; a state is kept when it may lead to less. */
  readonly best: number
  /** The most value that a unit of cost saves in the remaining channels. */
  readonly gain: number
  /** The least value that saving a unit of cost loses there. */
  readonly loss: number
  /** By how much the cost can fall there at most. */
  readonly saving: number
}

/**
 * Merges the states `soFar` of a channel with those of `before` moved by one deviation, keeping what is neither dominated
 * nor beyond the limits. A bound counts as too high from half a unit below the best value on: values are integers, and the
 * bound, a product and a sum below 2^51, is off by less than that.
 */
export function mergeMoved(soFar: StateList, before: StateList, move: Move, limits: Limits, out: StateList): void {
  makeRoom(out, soFar.size + before.size)
  const { dc, dv, deviation } = move
  const { room, gain, loss, saving } = limits
  const ceiling = limits.best - 0.5
  let lastV = Number.POSITIVE_INFINITY
  let size = 0
  let a = 0
  let b = 0
  while (a < soFar.size || b < before.size) {
    const da = a < soFar.size ? soFar.d[a] : Number.POSITIVE_INFINITY
    const db = b < before.size ? before.d[b] + dc : Number.POSITIVE_INFINITY
    const own = da < db || (da === db && soFar.v[a] <= before.v[b] + dv)
    const short = room - (own ? da : db)
    const v = own ? soFar.v[a] : before.v[b] + dv
    const least = short >= 0 ? v - gain * short : v - loss * short
    if (v < lastV && least <= ceiling && short + saving >= 0) {
      out.d[size] = own ? da : db
      out.v[size] = lastV = v
      out.parent[size] = own ? soFar.parent[a] : b
      out.deviation[size++] = own ? soFar.deviation[a] : deviation
    }
    if (own) a++
    else b++
  }
  out.size = size
}
