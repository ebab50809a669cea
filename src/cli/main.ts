#!/usr/bin/env node
// The `ringfence` program: finds the command, runs it, turns an error into words and an exit status.
import { RingfenceError } from '../errors.js'
import { type Command, Flags } from './terminal/arguments.js'
import { reportFailure } from './terminal/failure-report.js'
import { commandHelp, programHelp } from './terminal/help-text.js'
import { PROGRAM } from './terminal/terminal.js'

/** Two parts of the program: loaded one by one, each command would come with files of its own for all it shares. */
const parties = () => import('./party-commands.js')
const models = () => import('./model-commands.js')

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await parties()).demo,
  helper: async () => (await parties()).helper,
  register: async () => (await parties()).register,
  serve: async () => (await parties()).serve,
  delegate: async () => (await parties()).delegate,
  infer: async () => (await parties()).infer,
  inspect: async () => (await models()).inspect,
  convert: async () => (await models()).convert,
  distortion: async () => (await models()).distortion,
  plan: async () => (await models()).plan,
  calibrate: async () => (await models()).calibrate,
  evaluate: async () => (await models()).evaluate,
  audit: async () => (await models()).audit,
  finetune: async () => (await models()).finetune,
  reshape: async () => (await models()).reshape,
  search: async () => (await models()).search,
  cost: async () => (await models()).cost,
  bench: async () => (await parties()).bench,
  schema: async () => (await models()).schema,
  doctor: async () => (await parties()).doctor,
}

/** Runs one command line; the result is the exit status. */
async function main([name, ...args]: readonly string[]): Promise<number> {
  const json = name === '--json' || args.includes('--json')
  try {
    if (name === 'demo-party') return await (await import('./process/demo-party.js')).playParty()
    if (name === '--version') {
      process.stdout.write(`${(await import('./report/circumstances.js')).packageVersion()}\n`)
      return 0
    }
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
  throw new RingfenceError('BAD_INPUT', `there is no command ${name}; there are ${known}. See ${PROGRAM} --help`)
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

/** They go on without anybody who reads what they say. */
const LONG_RUNNING: readonly (string | undefined)[] = ['serve', 'helper', 'delegate']

// What was not written is lost: a report cut short never looks like a whole one, whoever reads the status.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (LONG_RUNNING.includes(process.argv[2])) return
  const why = code === 'EPIPE' ? 'its reader has gone' : code === 'ENOSPC' ? 'the disk is full' : code
  process.stderr.write(`error HOST: standard output cannot be written: ${why}\n`)
  process.exit(1)
})
process.stderr.on('error', () => {})
process.exitCode = await main(process.argv.slice(2))
