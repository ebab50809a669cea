// What the bundler leaves to do: entry points for `require`, their types, and the kernels as files.
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'

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

for (const file of readdirSync(dist).filter((name) => name.endsWith('.d.ts'))) {
  const types = readFileSync(join(dist, file), 'utf8').replace(/(from '\.\/[^']+)\.js'/g, "$1.cjs'")
  writeFileSync(join(dist, file.replace('.d.ts', '.d.cts')), types)
}

// Names in the library stay readable in stack traces; the programs say in words what failed, and are shortened.
const library = new Set()
function visit(file) {
  if (library.has(file)) return
  library.add(file)
  for (const [, next] of readFileSync(join(dist, file), 'utf8').matchAll(/"\.\/([\w-]+\.js)"/g)) visit(next)
}
for (const { import: entry } of Object.values(exports).filter((target) => target.import)) {
  visit(entry.default.replace('./dist/', ''))
}
for (const file of readdirSync(dist).filter((name) => name.endsWith('.js') && !library.has(name))) {
  const path = join(dist, file)
  const link = `//# sourceMappingURL=${file}.map`
  const inline = `data:application/json;base64,${readFileSync(`${path}.map`).toString('base64')}`
  // The bundler's map inside the text, so that the new one leads to the sources as well.
  const { code, map } = transformSync(readFileSync(path, 'utf8').replace(link, `//# sourceMappingURL=${inline}`), {
    minify: true,
    sourcemap: 'external',
    target: 'es2022',
  })
  writeFileSync(path, `${code}${link}\n`)
  writeFileSync(`${path}.map`, map)
}

for (const variant of ['simd', 'scalar']) {
  copyFileSync(join(root, `build/kernels.${variant}.wasm`), join(dist, `kernels.${variant}.wasm`))
}
