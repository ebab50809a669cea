// `npm run bench -- NAME [--json] [--quick]`
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { benchEndToEnd } from './e2e.js'
import { benchKernels } from './kernels.js'
import { playParty } from './processes.js'
import { benchRelu } from './relu.js'
import { benchSecurenn, playSecurenn } from './securenn.js'

const BENCHES = { kernels: benchKernels, e2e: benchEndToEnd, relu: benchRelu, securenn: benchSecurenn } as const
const USAGE = `usage: bench ${Object.keys(BENCHES).join('|')} [--json] [--quick]`

/** Runs one bench; the result is the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...flags] = args
  const unknown = flags.filter((flag) => flag !== '--json' && flag !== '--quick')
  if (!(name in BENCHES) || unknown.length > 0) {
    const asked = name === '--help' || name === '-h'
    process[asked ? 'stdout' : 'stderr'].write(
      `${unknown.length > 0 ? `unknown: ${unknown.join(' ')}\n` : ''}${USAGE}\n`,
    )
    return asked ? 0 : 1
  }
  await BENCHES[name as keyof typeof BENCHES]({ json: flags.includes('--json'), quick: flags.includes('--quick') })
  return 0
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === '--party') playParty()
  else if (process.argv[2] === '--securenn') playSecurenn()
  else process.exitCode = await main(process.argv.slice(2))
}
