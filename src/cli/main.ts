#!/usr/bin/env node
// The `ringfence` program: finds the command, runs it, turns an error into words and an exit status.
import { readFile } from 'node:fs/promises'
import { RingfenceError } from '../errors.js'
import { type Command, Flags } from './arguments.js'
import { reportFailure } from './failure-report.js'
import { commandHelp, programHelp } from './help-text.js'

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./demo.js')).demo,
  helper: async () => (await import('./helper.js')).helper,
  serve: async () => (await import('./serve.js')).serve,
  infer: async () => (await import('./infer.js')).infer,
  inspect: async () => (await import('./inspect.js')).inspect,
  convert: async () => (await import('./convert.js')).convert,
  distortion: async () => (await import('./distortion.js')).distortion,
  plan: async () => (await import('./plan.js')).plan,
  calibrate: async () => (await import('./calibrate.js')).calibrate,
  evaluate: async () => (await import('./evaluate.js')).evaluate,
  cost: async () => (await import('./cost.js')).cost,
  bench: async () => (await import('./bench.js')).bench,
  doctor: async () => (await import('./doctor.js')).doctor,
}

/** Runs one command line; the result is the exit status. */
async function main([name, ...args]: readonly string[]): Promise<number> {
  const json = name === '--json' || args.includes('--json')
  try {
    if (name === 'demo-party') return await (await import('./demo-party.js')).playParty()
    if (name === '--version') return await printVersion()
    const wantsHelp = name === undefined || name === '--help' || name === '-h' || name === 'help'
    if (wantsHelp) return await printHelp(name === 'help' ? args[0] : undefined, name !== undefined)
    const command = await find(name)
    const answersItself = command.ownFlags && args.length > 0 && !args[0].startsWith('-')
    if (!answersItself && (args.includes('--help') || args.includes('-h'))) {
      process.stdout.write(commandHelp(command, process.stdout))
      return 0
    }
    return await command.run(new Flags(command, args), args)
  } catch (error) {
    reportFailure(error, json)
    return 1
  }
}

async function find(name: string): Promise<Command> {
  if (Object.hasOwn(COMMANDS, name)) return COMMANDS[name]()
  const known = Object.keys(COMMANDS).join(', ')
  throw new RingfenceError('BAD_INPUT', `there is no command ${name}; there are ${known}. See ringfence --help`)
}

async function printHelp(about: string | undefined, asked: boolean): Promise<number> {
  if (about !== undefined) process.stdout.write(commandHelp(await find(about), process.stdout))
  else {
    const all = await Promise.all(Object.values(COMMANDS).map((load) => load()))
    const out = asked ? process.stdout : process.stderr
    out.write(programHelp(all, out))
  }
  return asked ? 0 : 1
}

async function printVersion(): Promise<number> {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
  process.stdout.write(`${version}\n`)
  return 0
}

// A reader that has seen enough, as `head` has, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})
process.exitCode = await main(process.argv.slice(2))
