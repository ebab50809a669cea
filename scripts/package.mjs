// What the bundler leaves to do: the order of imports, where types are, declarations that weigh less, and the kernels as a file.
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

// The kernels' text stands first in what an application bundles: amid the code it is as wide as gzip's window, and what stands
// behind it would be compressed without what stands before (1.7 kB more). Imports move to the front of their files, where no
// other column changes. The entry `kernels` is there to give it a file of its own, and goes.
const [, kernels] = /"\.\/(.*?)"/.exec(readFileSync(join(dist, 'kernels.js'), 'utf8'))
for (const file of ['kernels.js', 'kernels.js.map']) rmSync(join(dist, file))
const scripts = readdirSync(dist).filter((name) => name.endsWith('.js'))
const importFirst = (name) =>
  scripts.filter((file) => {
    const code = readFileSync(join(dist, file), 'utf8')
    const [line] = new RegExp(`import(?:\\{[^}]*\\}from)?"\\./${name}";`).exec(code) ?? []
    if (line) writeFileSync(join(dist, file), line + code.replace(line, ''))
    return line?.includes('{')
  })
for (const holder of importFirst(kernels)) importFirst(holder)

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
