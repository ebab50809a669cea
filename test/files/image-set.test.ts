// Sets of pictures from disk: folders with or without classes, files of records, limits, and everything wrong with them at once.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { encode } from 'fast-png'
import { afterAll, describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { type ImageSetOptions, readImageSet } from '../../src/files/image-set.js'
import { parseArchitecture } from '../../src/model/architecture.js'

const arch = parseArchitecture({
  ...{ format: 'arch/1', name: 'pets', inputs: [{ name: 'x', shape: [1, 2, 2] }], outputs: ['fc'] },
  layers: [
    { id: 'flat', op: 'flatten', in: ['x'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
  ],
  labels: ['cat', 'dog', 'eel'],
})

const folders: string[] = []
afterAll(() => folders.forEach((folder) => void rmSync(folder, { recursive: true })))

/** A grey picture of one value. */
const png = (value: number, size = 2) =>
  encode({ width: size, height: size, channels: 1, depth: 8, data: new Uint8Array(size * size).fill(value) })

function folder(files: Record<string, Uint8Array | string>): string {
  const root = mkdtempSync(join(tmpdir(), 'ringfence-set-'))
  folders.push(root)
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

const read = (path: string, options?: ImageSetOptions) => readImageSet(path, arch, options)

async function refusal(path: string, options?: ImageSetOptions): Promise<RingfenceError> {
  const error = await read(path, options).catch((error) => error)
  expect(error).toBeInstanceOf(RingfenceError)
  return error
}

/** IDX as MNIST has it: a magic number, sizes, bytes. */
const idx = (sizes: number[], data: number[]) =>
  Uint8Array.from([0, 0, 8, sizes.length, ...sizes.flatMap((size) => [0, 0, 0, size]), ...data])

describe('a folder of pictures', () => {
  it('takes classes from subfolders, by name or number, in the order of names', async () => {
    const set = await read(folder({ 'dog/b.png': png(20), 'cat/a.png': png(10), '2/c.png': png(30), 'notes.txt': 'x' }))
    expect(set.names).toEqual(['2/c.png', 'cat/a.png', 'dog/b.png'])
    expect(set.labels).toEqual([2, 0, 1])
    expect(set.source).toMatch(/^3 pictures of ringfence-set-/)
    expect(set.inputs[0]).not.toEqual(set.inputs[1])
    expect(new Set(set.inputs[0]).size).toBe(1)
  })

  it('takes them from labels.json, before subfolders', async () => {
    const labels = JSON.stringify({ 'cat/a.png': 'Eel', 'b.png': 1 })
    expect((await read(folder({ 'cat/a.png': png(1), 'b.png': png(2), 'labels.json': labels }))).labels).toEqual([1, 2])
  })

  it('without classes has none, and is refused where some are needed', async () => {
    const plain = folder({ 'a.png': png(1) })
    expect((await read(plain)).labels).toBeUndefined()
    const { code, message } = await refusal(plain, { labelled: true })
    expect([code, message.includes('labels.json')]).toEqual(['BAD_INPUT', true])
  })

  it('is not looked at for classes where none are wanted', async () => {
    expect((await read(folder({ 'bird/a.png': png(1) }), { labelled: false })).labels).toBeUndefined()
  })

  it('names the pictures whose class the network does not have', async () => {
    const { code, message, problems } = await refusal(
      folder({ 'bird/a.png': png(1), '3/b.png': png(2), 'cat/c.png': png(3) }),
    )
    expect([code, problems]).toEqual(['BAD_FILE', ['3/b.png', 'bird/a.png']])
    expect(message).toContain('2 of 3 pictures have no class of this network; expected 0 to 2')
  })

  it('names the first ten pictures of another size, and resizes on demand', async () => {
    const many = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`p${10 + i}.png`, png(i, 3)]))
    const root = folder({ ...many, 'p30.png': png(7) })
    const { message, problems } = await refusal(root)
    expect(message).toContain('12 of 13 pictures do not fit this network')
    expect([problems.length, problems.at(-1)]).toEqual([11, 'and 2 more'])
    expect((await read(root, { resize: 'stretch' })).inputs).toHaveLength(13)
  })

  it('is spread out evenly under a limit', async () => {
    const root = folder(Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`${i}.png`, png(i)])))
    expect((await read(root, { limit: 3 })).names).toEqual(['0.png', '2.png', '4.png'])
  })

  it('that has none, or is not there, is said so', async () => {
    expect((await refusal(folder({ 'a.txt': 'x' }))).code).toBe('BAD_INPUT')
    expect((await refusal(join(folder({}), 'none'))).code).toBe('BAD_FILE')
  })
})

describe('a file of records', () => {
  const images = idx([3, 2, 2], [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3])
  const at = (root: string) => join(root, 't-images-idx3-ubyte')

  it('takes its classes from the file beside it', async () => {
    const root = folder({ 't-images-idx3-ubyte': images, 't-labels-idx1-ubyte': idx([3], [2, 0, 1]) })
    const set = await read(at(root), { limit: 2 })
    expect([set.names, set.labels]).toEqual([
      ['record 0', 'record 1'],
      [2, 0],
    ])
    expect((await read(at(root), { labelled: false })).labels).toBeUndefined()
  })

  it('whose classes are another number of them is refused', async () => {
    const root = folder({ 't-images-idx3-ubyte': images, 't-labels-idx1-ubyte': idx([2], [2, 0]) })
    const { code, message } = await refusal(at(root))
    expect([code, message.endsWith('expected 3 labels, got 2')]).toEqual(['BAD_FILE', true])
  })
})
