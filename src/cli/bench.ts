// `ringfence bench`: hands over to the benches, which are a program of their own.
import { COMMON_FLAGS, type Command } from './arguments.js'

interface Benches {
  main(args: readonly string[]): Promise<number>
}

export const bench: Command = {
  name: 'bench',
  summary: 'Measure kernels, ReLUs, or a whole inference in three processes.',
  operands: 'kernels|relu|e2e',
  flags: { quick: { type: 'boolean', description: 'fewer repetitions' } },
  async run(flags) {
    flags.check()
    const chosen = ['quick', ...Object.keys(COMMON_FLAGS)].filter((flag) => flags.on(flag)).map((flag) => `--${flag}`)
    // Through a variable, so that the build leaves it alone: dist/bench.js starts itself again as its own processes.
    const program = new URL('./bench.js', import.meta.url).href
    const { main } = (await import(program)) as Benches
    return main([...flags.operands, ...chosen])
  },
}
