// What the bundler leaves to do: entry points for `require`, their types, and the kernels as files.
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))
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
  const map = JSON.parse(readFileSync(`${file}.map`, 'utf8'))
  writeFileSync(`${file}.map`, JSON.stringify({ ...map, mappings: `;${map.mappings}` })) // one line further down
}

// The same types for `require`, without the comments, which would be half of their bytes.
const printer = ts.createPrinter({ removeComments: true })
for (const file of readdirSync(dist).filter((name) => name.endsWith('.d.ts'))) {
  const types = readFileSync(join(dist, file), 'utf8').replace(/(from '\.\/[^']+)\.js'/g, "$1.cjs'")
  const parsed = ts.createSourceFile(file, types, ts.ScriptTarget.Latest)
  writeFileSync(join(dist, file.replace('.d.ts', '.d.cts')), printer.printFile(parsed))
}

for (const variant of ['simd', 'scalar']) {
  copyFileSync(join(root, `build/kernels.${variant}.wasm`), join(dist, `kernels.${variant}.wasm`))
}
