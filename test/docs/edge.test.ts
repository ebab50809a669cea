// The guide for edge functions: its function in a process that has the kernels' module and compiles no other.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as esbuild from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Parties, partiesFor } from '../browser/site.js'
import { Program, readGuide, root, workspace } from './guides.js'

/** Compiles the kernels, takes from this process what such hosts lack, then calls the function. */
const host = (kernels: string, digit: string) => `import { readFileSync } from 'node:fs'
globalThis.kernels = new WebAssembly.Module(readFileSync('${kernels}'))
const request = new Request('https://edge.example', { method: 'POST', body: readFileSync('${digit}') })
const { CompileError, Instance, Memory, instantiate } = WebAssembly
const Module = new Proxy(WebAssembly.Module, {
  construct() {
    throw new CompileError('no code generation here')
  },
})
globalThis.WebAssembly = { Instance, Memory, Module, instantiate, validate: () => false }
if (process.argv[2] === 'refused') delete globalThis.kernels
const { default: worker } = await import('./bundle.mjs')
const response = await worker.fetch(request)
console.log(JSON.stringify(await response.json()))
process.exit(0)
`

describe('the guide for edge functions', () => {
  let parties: Parties
  let folder: string
  beforeAll(async () => {
    parties = await partiesFor('mnist-cnn3')
    const addresses = { 'wss://server.example': parties.server.url, 'wss://helper.example': parties.helper.url }
    folder = workspace(readGuide('edge.md'), addresses)
    await esbuild.build({
      entryPoints: [join(folder, 'function.js')],
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      external: ['ws'],
      outfile: join(folder, 'bundle.mjs'),
      logLevel: 'error',
      plugins: [
        {
          name: 'modules as imports',
          setup(build) {
            build.onLoad({ filter: /\.wasm$/ }, () => ({ contents: 'export default globalThis.kernels' }))
          },
        },
      ],
    })
    const kernels = join(root, 'dist/kernels.simd.wasm')
    writeFileSync(join(folder, 'host.mjs'), host(kernels, join(root, 'models/samples/digit-4.png')))
  })
  afterAll(() => parties.close())

  it('classifies with the module it is given', async () => {
    const output = await new Program(folder, ['node', 'host.mjs']).ended()
    expect(JSON.parse(output)).toEqual({ label: '4', prediction: 4 })
  })

  it('cannot do without it on such a host', async () => {
    await expect(new Program(folder, ['node', 'host.mjs', 'refused']).ended()).rejects.toThrow(
      'no code generation here',
    )
  })
})
