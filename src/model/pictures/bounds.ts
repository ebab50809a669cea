// What a picture file may cost before a decoder sees it: pixels, inflated bytes and passes over the picture. A file of half
// a megabyte can ask for gigabytes (a deflated profile, text or image data) or for minutes (thousands of scans).
import { Unzlib } from 'fflate'
import { RingfenceError } from '../../errors.js'
import { MOST_PIXELS } from './picture.js'

/** Encoders write at most some twenty scans; every scan of a progressive JPEG goes over all its pixels. */
const MOST_SCANS = 64
/** Bytes behind the last row that a PNG may have: encoders pad. */
const SLACK = 2 ** 16
/** Deflate makes at most 1,032 bytes of one: so many inflated bytes at most before they are counted. */
const PIECE = 2 ** 12

const SIGNATURE_BYTES = 8
/** What decides the pixels and the side that is up. Everything else, profiles, text and animation, is left out unread. */
const KEPT = ['IHDR', 'PLTE', 'tRNS', 'eXIf', 'IDAT', 'IEND']

/** A PNG without what does not decide its picture; the decoder checks the checksums of the rest. */
export interface BoundedPng {
  readonly file: Uint8Array
  /** EXIF data (a TIFF file), which may say which way up the picture is. */
  readonly exif: Uint8Array | undefined
}

/**
 * The PNG's picture alone: header, palette, transparency, EXIF and image data, whose inflated length is what the header says.
 * @throws RingfenceError BAD_FILE for a file cut short, too many pixels, or more data than its pixels need; UNSUPPORTED for
 *   an interlaced picture of less than 8 bits
 */
export function boundedPng(bytes: Uint8Array, name: string): BoundedPng {
  const bad = (text: string) => new RingfenceError('BAD_FILE', `${name}: ${text}`)
  const kept = chunks(bytes, bad).filter(({ type }) => KEPT.includes(type))
  const header = kept[0]
  if (header?.type !== 'IHDR' || header.data.length !== 13) throw bad('the PNG file does not begin with its header')
  if (kept.filter(({ type }) => type === 'IHDR').length > 1) throw bad('the PNG file has more than one header')
  const view = new DataView(header.data.buffer, header.data.byteOffset)
  const [width, height] = [view.getUint32(0), view.getUint32(4)]
  const [depth, colour, interlaced] = [header.data[8], header.data[9], header.data[12] !== 0]
  if (width * height > MOST_PIXELS) throw bad(`expected at most ${MOST_PIXELS} pixels, got ${width} x ${height}`)
  if (depth < 8 && interlaced) {
    throw new RingfenceError('UNSUPPORTED', `${name}: an interlaced PNG of ${depth} bits cannot be read; save it plain`)
  }
  const bits = depth * (CHANNELS[colour] ?? 4)
  const needed = interlaced ? adam7Bytes(width, height, bits) : height * (1 + Math.ceil((width * bits) / 8))
  const data = kept.filter(({ type }) => type === 'IDAT')
  if (!inflatesTo(data, needed + SLACK)) {
    throw bad(`its image data inflate to more than the ${needed} bytes of ${width} x ${height} pixels`)
  }
  return { file: joined(bytes, kept), exif: kept.find(({ type }) => type === 'eXIf')?.data }
}

interface Chunk {
  readonly type: string
  readonly data: Uint8Array
  /** Length, type, data and checksum. */
  readonly whole: Uint8Array
}

/** Chunks up to the end of the picture (PNG specification, 5.3). */
function chunks(bytes: Uint8Array, bad: (text: string) => RingfenceError): Chunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const found: Chunk[] = []
  for (let at = SIGNATURE_BYTES; ; ) {
    if (at + 12 > bytes.length) throw bad('the PNG file is cut short')
    const length = view.getUint32(at)
    const end = at + 12 + length
    if (end > bytes.length) throw bad('the PNG file is cut short')
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    found.push({ type, data: bytes.subarray(at + 8, end - 4), whole: bytes.subarray(at, end) })
    if (type === 'IEND') return found
    at = end
  }
}

/** Channels by colour type. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }

/** First row and column, and steps, of the seven passes of an interlaced PNG. */
const ADAM7 = [
  [0, 0, 8, 8],
  [0, 4, 8, 8],
  [4, 0, 8, 4],
  [0, 2, 4, 4],
  [2, 0, 4, 2],
  [0, 1, 2, 2],
  [1, 0, 2, 1],
] as const

function adam7Bytes(width: number, height: number, bits: number): number {
  return ADAM7.reduce((sum, [top, left, down, across]) => {
    const [rows, columns] = [Math.ceil((height - top) / down), Math.ceil((width - left) / across)]
    return rows > 0 && columns > 0 ? sum + rows * (1 + Math.ceil((columns * bits) / 8)) : sum
  }, 0)
}

/** Whether the data inflate to at most so many bytes; what is no zlib stream is left to the decoder to name. */
function inflatesTo(data: readonly Chunk[], most: number): boolean {
  let inflated = 0
  const inflator = new Unzlib((piece) => {
    inflated += piece.length
  })
  try {
    for (const chunk of data) {
      for (let at = 0; at < chunk.data.length && inflated <= most; at += PIECE) {
        inflator.push(chunk.data.subarray(at, at + PIECE), false)
      }
    }
  } catch {
    return inflated <= most
  }
  return inflated <= most
}

function joined(bytes: Uint8Array, kept: readonly Chunk[]): Uint8Array {
  const out = new Uint8Array(kept.reduce((sum, { whole }) => sum + whole.length, SIGNATURE_BYTES))
  out.set(bytes.subarray(0, SIGNATURE_BYTES))
  let at = SIGNATURE_BYTES
  for (const { whole } of kept) {
    out.set(whole, at)
    at += whole.length
  }
  return out
}

const SOS = 0xda
const EOI = 0xd9

/** The next marker that is no restart and no stuffed 0xff (ITU-T T.81, B.1.1.2). */
function endOfScan(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1]
    if (next !== 0 && (next & 0xf8) !== 0xd0) return at
  }
  return bytes.length
}

/**
 * Counts a JPEG's scans; the decoder itself bounds pixels and memory.
 * @throws RingfenceError BAD_FILE for more than any encoder writes
 */
export function checkJpegScans(bytes: Uint8Array, name: string): void {
  let scans = 0
  for (let at = 2; at + 4 <= bytes.length; ) {
    const marker = bytes[at + 1]
    if (bytes[at] !== 0xff || marker === EOI) break // what is no segment is left to the decoder to name
    if (marker === 0xff)
      at++ // a fill byte
    else {
      at += 2 + ((bytes[at + 2] << 8) | bytes[at + 3])
      if (marker !== SOS) continue
      scans++
      at = endOfScan(bytes, at)
    }
  }
  if (scans > MOST_SCANS) {
    throw new RingfenceError('BAD_FILE', `${name}: expected at most ${MOST_SCANS} scans of the picture, got ${scans}`)
  }
}
