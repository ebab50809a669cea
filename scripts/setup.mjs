// Brings a fresh clone to a runnable state: installs from the lock file when node_modules is missing or older than
// the lock, builds when any source is newer than the last build. Quiet when there is nothing to do.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`ringfence needs Node >= 20.19, this is ${process.versions.node}.`)
  process.exit(1)
}

const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0)

function newest(path) {
  if (!existsSync(path)) return 0
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.mtimeMs
  return Math.max(
    0,
    ...readdirSync(path)
      .filter((name) => name !== 'wasm.generated.ts')
      .map((name) => newest(join(path, name))),
  )
}

function run(what, command) {
  process.stderr.write(`${what} …\n`)
  const started = Date.now()
  const child = spawnSync(command, { shell: true, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
  if (child.status !== 0) {
    process.stderr.write(`${child.stdout}${child.stderr}\n${what} failed: ${command}\n`)
    process.exit(child.status ?? 1)
  }
  process.stderr.write(`${what} done in ${((Date.now() - started) / 1000).toFixed(1)} s\n`)
}

if (modified('node_modules/.package-lock.json') < modified('package-lock.json')) {
  // Not `npm ci`: it refuses a lock that does not name every platform's optional binaries, which not every registry has.
  // `npm install` takes all locked versions and adds the one binary this platform needs; nothing is written back.
  run('Installing packages', 'npm install --no-save --no-audit --no-fund')
}

const inputs = [
  'assembly',
  'src',
  'bench',
  'scripts',
  'asconfig.json',
  'tsup.config.ts',
  'tsconfig.json',
  'package.json',
]
if (modified('dist/cli.js') < Math.max(...inputs.map(newest))) run('Building', 'npm run --silent build')
