// What a front asks of dealers: one inference of one model. All of it is sealed.
import { RingfenceError } from '../errors.js'
import type { DealJob } from '../party/helper/dealing.js'
import { hex, ID_BYTES, INFERENCE_BYTES, readInference, writeInference } from '../party/messages.js'
import { SEED_BYTES } from '../random/seed.js'
import type { FleetKeys } from './keys.js'

export interface FleetJob {
  /** The front's names of the model, and of what it waits for. */
  readonly model: Uint8Array
  readonly order: Uint8Array
  /** Shows the front that a dealer has read this job. */
  readonly token: Uint8Array
  readonly deal: DealJob
  /** Nobody waits for it later, in milliseconds since 1970. */
  readonly until: number
  /** Address of the front. */
  readonly front: string
}

const NUMBERS = 2 * INFERENCE_BYTES
const FIXED = 2 * ID_BYTES + 4 * SEED_BYTES + NUMBERS
const MAX_ADDRESS = 512

export function sealJob(keys: FleetKeys, { model, order, token, deal, until, front }: FleetJob): Uint8Array {
  const numbers = new Uint8Array(NUMBERS)
  writeInference(numbers, deal.inference)
  writeInference(numbers.subarray(INFERENCE_BYTES), Math.floor(until))
  const parts = [model, order, token, deal.ch, deal.sh, deal.own, numbers, new TextEncoder().encode(front)]
  const clear = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const part of parts) {
    clear.set(part, at)
    at += part.byteLength
  }
  const sealed = keys.seal(clear)
  clear.fill(0)
  return sealed
}

/** @throws RingfenceError INSECURE for what this fleet did not seal */
export function openJob(keys: FleetKeys, sealed: Uint8Array): FleetJob {
  const clear = keys.open(sealed)
  if (clear.byteLength <= FIXED || clear.byteLength > FIXED + MAX_ADDRESS) {
    throw new RingfenceError('INSECURE', 'this is no job of this version; fronts and dealers have to be of one version')
  }
  let at = 0
  const take = (length: number) => clear.slice(at, (at += length))
  const [model, order] = [take(ID_BYTES), take(ID_BYTES)]
  const [token, ch, sh, own] = [take(SEED_BYTES), take(SEED_BYTES), take(SEED_BYTES), take(SEED_BYTES)]
  const inference = readInference(take(INFERENCE_BYTES))
  const until = readInference(take(INFERENCE_BYTES))
  const front = new TextDecoder().decode(clear.subarray(at))
  clear.fill(0)
  return { model, order, token, deal: { inference, ch, sh, own }, until, front }
}

/** Where a front takes the bundle of an order, and gives a model to dealers. */
export const bundleUrl = ({ front, order }: FleetJob): string => `${front}/v1/bundle/${hex(order)}`
export const modelUrl = ({ front, model }: FleetJob): string => `${front}/v1/model/${hex(model)}`
