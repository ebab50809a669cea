// What the bundler leaves to do: entry points for `require`, their types, and the kernels as files.
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = new URL('..', import.meta.url).pathname
const dist = join(root, 'dist')
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

// Every Node this package runs on can require ES modules: one line each, and one copy of every class.
for (const { require: entry } of Object.values(exports).filter((target) => target.require)) {
  const file = entry.default.replace('./dist/', '')
  writeFileSync(join(dist, file), `module.exports = require('./${file.replace('.cjs', '.js')}')\n`)
}

// Deno and JSR read a module's types from this line.
for (const { import: entry } of Object.values(exports).filter((target) => target.import)) {
  const file = join(root, entry.default)
  const types = entry.types.replace('./dist/', './')
  writeFileSync(file, `/* @ts-self-types="${types}" */\n${readFileSync(file, 'utf8')}`)
}

for (const file of readdirSync(dist).filter((name) => name.endsWith('.d.ts'))) {
  const types = readFileSync(join(dist, file), 'utf8').replace(/(from '\.\/[^']+)\.js'/g, "$1.cjs'")
  writeFileSync(join(dist, file.replace('.d.ts', '.d.cts')), types)
}

for (const variant of ['simd', 'scalar']) {
  copyFileSync(join(root, `build/kernels.${variant}.wasm`), join(dist, `kernels.${variant}.wasm`))
}
