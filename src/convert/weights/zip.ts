// Reads zip archives in which nothing is left to trust: every length is checked against the file and against what other
// records say, entries may not overlap, and what they inflate to is paid for beforehand. Format: PKWARE APPNOTE 6.3.
import { Inflate } from 'fflate'
import { RingfenceError } from '../../errors.js'
import { quote } from '../../model/json/fields.js'
import type { Budget } from './budget.js'
import { crc32 } from './crc32.js'

export interface ZipArchive {
  /** Names of the entries that are files, in the order of the central directory. */
  readonly names: readonly string[]
  /**
   * The bytes of an entry; a view of the file when it is stored uncompressed.
   * @param verify compare with the checksum in the archive; some writers leave it out
   * @throws RingfenceError BAD_FILE when there is no such entry, or its bytes are not what the directory says
   */
  read(name: string, options?: { verify?: boolean }): Uint8Array
}

interface Entry {
  readonly name: string
  readonly method: number
  readonly crc: number
  readonly packed: number
  readonly size: number
  readonly header: number
  start: number
}

const Signature = {
  local: 0x04034b50,
  central: 0x02014b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
} as const
const STORED = 0
const DEFLATED = 8
const ENCRYPTED = 0x41
const SIZES_FOLLOW = 0x08
const UNKNOWN32 = 0xffffffff
/** Deflate codes at most 258 bytes in two bits and a little. */
const MOST_PER_BYTE = 1032
/** Compressed bytes handed to the inflater at once; bounds what it gives back before the size is checked. */
const STEP = 4096

/** Whether the bytes start as a zip archive does. */
export function looksLikeZip(file: Uint8Array): boolean {
  return file[0] === 0x50 && file[1] === 0x4b && ((file[2] === 3 && file[3] === 4) || (file[2] === 5 && file[3] === 6))
}

/**
 * Checks the whole directory of an archive; reads no entry yet.
 * @throws RingfenceError BAD_FILE for overlapping, encrypted, doubled or lying entries, and for split archives
 */
export function readZip(file: Uint8Array, budget: Budget): ZipArchive {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const directory = findDirectory(view, budget)
  const entries = readDirectory(view, file, directory, budget)
  placeEntries(view, file, [...entries.values()], directory.start, budget)
  return {
    names: [...entries.keys()].filter((name) => !name.endsWith('/')),
    read(name, { verify = false } = {}) {
      const entry = entries.get(name)
      if (!entry) budget.fail(`expected an entry ${quote(name)} in the zip file, found none`)
      const packed = file.subarray(entry.start, entry.start + entry.packed)
      const bytes = entry.method === STORED ? packed : inflate(packed, entry, budget)
      if (verify && crc32(bytes) !== entry.crc) {
        budget.fail(`entry ${quote(name)}: its bytes do not match its checksum; the file is damaged`)
      }
      return bytes
    },
  }
}

interface Directory {
  readonly start: number
  readonly end: number
  readonly count: number
}

/** The directory ends where the end record, or the zip64 end record before it, starts. */
function findDirectory(view: DataView, budget: Budget): Directory {
  const end = findEnd(view)
  if (end === undefined) budget.fail('expected a zip file, found no end of its directory; is it cut short?')
  const disks = view.getUint32(end + 4, true)
  const here = { count: view.getUint16(end + 10, true), size: view.getUint32(end + 12, true) }
  const record = findEnd64(view, end, budget)
  const directory = record === undefined ? { ...here, start: view.getUint32(end + 16, true) } : readEnd64(view, record)
  const stop = record ?? end
  if (disks !== 0 || directory.start + directory.size !== stop || directory.count * 46 > directory.size) {
    budget.fail('the end record of the zip file does not fit its directory')
  }
  return { start: directory.start, end: stop, count: directory.count }
}

function findEnd(view: DataView): number | undefined {
  const last = view.byteLength - 22
  // A comment of up to 65535 bytes may follow; its length must be right.
  for (let at = last; at >= 0 && at >= last - 0xffff; at--) {
    if (view.getUint32(at, true) === Signature.end && view.getUint16(at + 20, true) === last - at) return at
  }
  return undefined
}

function findEnd64(view: DataView, end: number, budget: Budget): number | undefined {
  if (end < 20 || view.getUint32(end - 20, true) !== Signature.locator64) return undefined
  const at = uint64(view, end - 12)
  if (at !== end - 20 - 56 || view.getUint32(at, true) !== Signature.end64) {
    budget.fail('the zip64 end record is not where the zip file says')
  }
  return at
}

function readEnd64(view: DataView, at: number): { count: number; size: number; start: number } {
  return { count: uint64(view, at + 32), size: uint64(view, at + 40), start: uint64(view, at + 48) }
}

function uint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
}

function readDirectory(view: DataView, file: Uint8Array, directory: Directory, budget: Budget): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  budget.spend(directory.count * 256, `a directory of ${directory.count} entries`)
  let at = directory.start
  for (let i = 0; i < directory.count; i++) {
    if (at + 46 > directory.end || view.getUint32(at, true) !== Signature.central) {
      budget.fail(`entry ${i} of ${directory.count} is missing from the directory of the zip file`)
    }
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true))
    const next = at + 46 + nameLength + extraLength + commentLength
    if (next > directory.end) budget.fail(`entry ${i} of the zip file reaches past the end of the directory`)
    const entry = readEntry(view, file, at, nameLength, extraLength, budget)
    if (entries.has(entry.name)) budget.fail(`the zip file has two entries ${quote(entry.name)}`)
    entries.set(entry.name, entry)
    at = next
  }
  if (at !== directory.end) budget.fail('the directory of the zip file is longer than its entries')
  return entries
}

function readEntry(
  view: DataView,
  file: Uint8Array,
  at: number,
  nameLength: number,
  extraLength: number,
  budget: Budget,
): Entry {
  const name = decodeName(file.subarray(at + 46, at + 46 + nameLength), budget)
  const fail = (text: string): never => budget.fail(`entry ${quote(name)}: ${text}`)
  const method = view.getUint16(at + 10, true)
  if (view.getUint16(at + 8, true) & ENCRYPTED) fail('it is encrypted; expected plain entries')
  if (method !== STORED && method !== DEFLATED) fail(`compression method ${method}; expected stored (0) or deflate (8)`)
  const crc = view.getUint32(at + 16, true)
  const long = extra64(view, at + 46 + nameLength, extraLength)
  const field = (offset: number): number => {
    const value = view.getUint32(at + offset, true)
    return value === UNKNOWN32 ? (long.shift() ?? fail('its zip64 sizes are missing')) : value
  }
  // APPNOTE 4.5.3: the zip64 field has only those values that do not fit, in this order.
  const size = field(24)
  const packed = field(20)
  const header = field(42)
  if (method === STORED && size !== packed) fail(`stored, yet ${packed} bytes are said to unfold to ${size}`)
  if (size > packed * MOST_PER_BYTE) fail(`${packed} bytes cannot inflate to ${size}`)
  return { name, method, crc, packed, size, header, start: 0 }
}

/** The 64-bit values of a zip64 extra field (APPNOTE 4.5.3). */
function extra64(view: DataView, start: number, length: number): number[] {
  const values: number[] = []
  for (let at = start; at + 4 <= start + length; ) {
    const [id, size] = [view.getUint16(at, true), view.getUint16(at + 2, true)]
    const end = Math.min(at + 4 + size, start + length)
    if (id === 1) for (let v = at + 4; v + 8 <= end; v += 8) values.push(uint64(view, v))
    at += 4 + size
  }
  return values
}

function decodeName(bytes: Uint8Array, budget: Budget): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return budget.fail('the zip file has an entry whose name is not UTF-8')
  }
}

/** Finds the bytes of each entry behind its local header, and checks that no two share any byte. */
function placeEntries(view: DataView, file: Uint8Array, entries: Entry[], stop: number, budget: Budget): void {
  let free = 0
  for (const entry of entries.sort((a, b) => a.header - b.header)) {
    const { name, header, packed, size, method } = entry
    const fail = (text: string): never => budget.fail(`entry ${quote(name)}: ${text}`)
    if (header < free) fail('it overlaps the entry before it')
    if (header + 30 > stop || view.getUint32(header, true) !== Signature.local)
      fail('there is no entry where it points')
    const nameLength = view.getUint16(header + 26, true)
    entry.start = header + 30 + nameLength + view.getUint16(header + 28, true)
    free = entry.start + packed
    if (free > stop) fail(`its ${packed} bytes reach past the entries of the zip file`)
    const flags = view.getUint16(header + 6, true)
    const agrees = (offset: number, value: number) => {
      const here = view.getUint32(header + offset, true)
      return here === value || here === UNKNOWN32 || (flags & SIZES_FOLLOW) !== 0
    }
    const sameName = decodeName(file.subarray(header + 30, header + 30 + nameLength), budget) === name
    if (!sameName || flags & ENCRYPTED || view.getUint16(header + 8, true) !== method) {
      fail('its two headers contradict each other')
    }
    if (!agrees(18, packed) || !agrees(22, size)) fail('its two headers give different sizes')
  }
}

/** Inflates in steps into a buffer of the announced size, and stops as soon as there is more. */
function inflate(packed: Uint8Array, { name, size }: Entry, budget: Budget): Uint8Array {
  budget.spend(size, `entry ${quote(name)} of ${size} bytes`)
  const out = new Uint8Array(size)
  let filled = 0
  const inflater = new Inflate((chunk) => {
    if (filled + chunk.length > size)
      budget.fail(`entry ${quote(name)}: it inflates to more than the ${size} bytes it says`)
    out.set(chunk, filled)
    filled += chunk.length
  })
  try {
    for (let at = 0; at < packed.length; at += STEP) {
      inflater.push(packed.subarray(at, at + STEP), at + STEP >= packed.length)
    }
  } catch (cause) {
    if (cause instanceof RingfenceError) throw cause
    budget.fail(`entry ${quote(name)}: its compressed bytes are damaged`)
  }
  if (filled !== size) budget.fail(`entry ${quote(name)}: it inflates to ${filled} bytes, not to the ${size} it says`)
  return out
}
