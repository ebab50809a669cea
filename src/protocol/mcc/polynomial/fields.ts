// Words that a step is dealt beside a comparison's: field after field, u64 in memory, of which as many bits travel as count.
// The client's halves are streams of its seed, one per field; the helper sends the server each value less that half.
import type { Kernels, Region } from '../../../kernels/instance.js'
import type { PurposeCode, Streams } from '../../../random/streams.js'
import { longBytes, packLong, unpackLong } from '../guard/words.js'

/** How many words a field has, and of how many bits: none where it would count beyond the words' modulus alone. */
export interface Field {
  readonly count: number
  readonly bits: number
}

const bytesOf = ({ count, bits }: Field): number => (bits === 0 ? 0 : longBytes(count, bits))

/** Bytes of all fields as they travel. */
export const fieldBytes = (fields: readonly Field[]): number => fields.reduce((sum, field) => sum + bytesOf(field), 0)

/** Room for all fields. */
const room = (k: Kernels, fields: readonly Field[]): Region =>
  k.memory.allocZero(8 * fields.reduce((sum, { count }) => sum + count, 0))

/** Calls back for every field that travels, with its words and where it lies among what travels. */
function eachField(
  fields: readonly Field[],
  words: Region,
  visit: (words: Region, field: Field, at: number, index: number) => void,
): void {
  let [from, at] = [0, 0]
  fields.forEach((field, index) => {
    const { count, bits } = field
    if (bits > 0) visit(words.part(from, count * 8), field, at, index)
    from += count * 8
    at += bytesOf(field)
  })
}

/** The client's halves of all fields. The caller releases the result. */
export function fieldHalves(
  k: Kernels,
  fields: readonly Field[],
  ch: Streams,
  address: { readonly purpose: PurposeCode; readonly layer: number; readonly inference: number },
): Region {
  const words = room(k, fields)
  eachField(fields, words, (into, { count, bits }, _, tensor) => {
    const packed = ch.take({ ...address, tensor }, longBytes(count, bits))
    unpackLong(k, packed, count, bits, into)
    packed.release()
  })
  return words
}

/** @param message out, `fieldBytes` bytes */
export function packFields(k: Kernels, fields: readonly Field[], words: Region, message: Region): void {
  eachField(fields, words, (from, field, at) => {
    packLong(k, from, field.count, field.bits, message.part(at, bytesOf(field)))
  })
}

/** The inverse of `packFields`. The caller releases the result. */
export function unpackFields(k: Kernels, fields: readonly Field[], message: Region): Region {
  const words = room(k, fields)
  eachField(fields, words, (into, field, at) => {
    unpackLong(k, message.part(at, bytesOf(field)), field.count, field.bits, into)
  })
  return words
}
