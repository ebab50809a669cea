// What the bundler leaves to do: where types are, declarations that weigh less, and the kernels as a file.
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

// Deno and JSR read a module's types from this line.
for (const entry of Object.values(exports).filter((target) => target.types)) {
  const file = join(root, entry.default)
  const types = entry.types.replace('./dist/', './')
  writeFileSync(file, `/* @ts-self-types="${types}" */\n${readFileSync(file, 'utf8')}`)
  const map = JSON.parse(readFileSync(`${file}.map`, 'utf8'))
  writeFileSync(`${file}.map`, JSON.stringify({ ...map, mappings: `;${map.mappings}` })) // one line further down
}

// Indented by tabs, which is a tenth of what declarations weigh less.
for (const file of readdirSync(dist).filter((name) => name.endsWith('.d.ts'))) {
  const types = readFileSync(join(dist, file), 'utf8')
  writeFileSync(
    join(dist, file),
    types.replace(/^(?: {4})+/gm, (spaces) => '\t'.repeat(spaces.length / 4)),
  )
}

// For hosts that compile no WebAssembly at run time; all of them have SIMD.
copyFileSync(join(root, 'build/kernels.simd.wasm'), join(dist, 'kernels.simd.wasm'))
