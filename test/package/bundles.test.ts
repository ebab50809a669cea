// What applications get into their bundles: only what they use, and a client small enough for a page.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import * as esbuild from 'esbuild'
import { describe, expect, it } from 'vitest'
import { unpackBuilds } from '../../src/kernels/instance.js'
import { packed } from '../../src/kernels/wasm.generated.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
if (!existsSync(join(root, 'dist/index.js')))
  throw new Error('dist is missing: run npm run build, or npm test, which does')

/** One line of an application, bundled as it is shipped. The package is found by its own name. */
async function bundled(line: string): Promise<{ code: Uint8Array; inputs: string[] }> {
  const result = await esbuild.build({
    stdin: { contents: line, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    metafile: true,
    outdir: 'out',
    external: ['ws', 'node:*'],
    logLevel: 'error',
  })
  const [output] = Object.values(result.metafile.outputs)
  const inputs = Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0)
  return { code: result.outputFiles[0].contents, inputs: inputs.map(([path]) => path) }
}

const ENTRIES = [
  'ringfence',
  'ringfence/server',
  'ringfence/helper',
  'ringfence/delegate',
  'ringfence/thin',
  'ringfence/plan',
]

describe('a bundle', () => {
  it.each(ENTRIES)('that takes only the error class of %s is below 5 kB', async (entry) => {
    const { code } = await bundled(`export { RingfenceError } from '${entry}'`)
    expect(code.byteLength).toBeLessThan(5000)
    expect(code.byteLength).toBeGreaterThan(100)
  })

  it.each(ENTRIES)('that takes nothing of %s is empty', async (entry) => {
    expect((await bundled(`import '${entry}'`)).code.byteLength).toBe(0)
  })

  it('with a client is at most 90 kB, compressed, kernels included', async () => {
    const { code, inputs } = await bundled("export { Client } from 'ringfence'")
    const size = gzipSync(code, { level: 9 }).byteLength
    console.log(`a client: ${(size / 1000).toFixed(1)} kB compressed, ${(code.byteLength / 1000).toFixed(0)} kB`)
    expect(size).toBeLessThanOrEqual(90_000)
    // It can run: both builds of the kernels are in it.
    expect(Buffer.from(code).toString()).toContain(packed.both)
    for (const [variant, bytes] of Object.entries(unpackBuilds(packed)))
      expect(Buffer.compare(bytes, readFileSync(join(root, `build/kernels.${variant}.wasm`))), variant).toBe(0)
    expect(inputs.filter((path) => /node_modules\/(jpeg-js|fast-png)\//.test(path))).toEqual([])
  })

  it('with a thin client is at most 20 kB, compressed, without kernels', async () => {
    const { code, inputs } = await bundled("export { ThinClient } from 'ringfence/thin'")
    const size = gzipSync(code, { level: 9 }).byteLength
    console.log(`a thin client: ${(size / 1000).toFixed(1)} kB compressed, ${(code.byteLength / 1000).toFixed(0)} kB`)
    expect(size).toBeLessThanOrEqual(20_000)
    const text = Buffer.from(code).toString()
    expect(text.match(/WebAssembly|new Worker|SharedArrayBuffer|node:/g)).toBeNull()
    expect(inputs.filter((path) => /node_modules\/(?!@noble\/)/.test(path))).toEqual([])
  })

  it('with a client and a picture reader carries neither converters nor planners', async () => {
    const { inputs } = await bundled("export { Client, decodeImage, pictureToInput } from 'ringfence'")
    expect(inputs.some((path) => path.includes('jpeg-js'))).toBe(true)
    expect(inputs.filter((path) => /bufbuild/.test(path))).toEqual([])
  })

  it('finds the worker by an address that stands in one piece', () => {
    const files = readdirSync(join(root, 'dist')).filter((name) => name.endsWith('.js'))
    const addresses = files.flatMap((name) =>
      [...readFileSync(join(root, 'dist', name), 'utf8').matchAll(/new Worker\(\s*new URL\(([^)]*)\)/g)].map(
        ([, at]) => at,
      ),
    )
    expect(addresses.filter((at) => at.includes('worker')).map((at) => at.replace(/\s/g, ''))).toEqual([
      '"./worker.js",import.meta.url',
    ])
  })

  it('keeps what is there to be run', () => {
    const { sideEffects, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    expect(sideEffects).toEqual(expect.arrayContaining(['./dist/worker.js', bin.ringfence]))
    for (const file of sideEffects) expect(existsSync(join(root, file)), file).toBe(true)
  })
})
