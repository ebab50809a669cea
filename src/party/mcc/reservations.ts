// Who may take how much of a server's store, and what is not waited for any longer.
import type { Principal } from '../../net/index.js'
import type { MaterialStore } from './store.js'

/** Largest part of what others leave of the store that one principal may hold, unless told otherwise. */
export const STORE_SHARE = 0.25

/**
 * Inferences that a principal may reserve: so many that it holds no more than a share of what the others leave. The bound
 * falls as the store fills, so however many come, and however often they ask, something is left for the next; the threshold
 * of Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM ToN 6(2), 1998.
 * Where a share is less than one inference, one is granted to who has none.
 */
export function allowance(
  store: MaterialStore,
  { owner, principal }: { owner: string; principal?: Principal },
  share: number,
  count: number,
): number {
  const held = store.heldBy(owner)
  const { storeBytes = Number.POSITIVE_INFINITY } = principal ?? {}
  const more = Math.min(Math.floor(share * (store.room + held)), Math.floor(storeBytes / store.bytesEach)) - held
  return Math.max(0, Math.min(count, store.room, held === 0 ? Math.max(1, more) : more))
}

/** Calls once nothing has come for a while. */
export class Watch {
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly over: () => void) {}

  /** Something came; the next is due within so many milliseconds. */
  renew(waitMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.over, waitMs)
  }

  end(): void {
    clearTimeout(this.#timer)
  }
}
