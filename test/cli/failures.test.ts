import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { ringfence, root } from './program.js'

const PICTURE = `${root}models/samples/digit-7.png`
const HELPER = ['--helper', 'ws://127.0.0.1:2']

describe('what the program says when it cannot do what was asked', () => {
  const cases: [string, string[], string, RegExp][] = [
    ['an unknown command', ['dance'], 'BAD_INPUT', /no command dance; there are demo, hel[\s\S]*bench/],
    ['an unknown flag', ['demo', '--colour', 'red'], 'BAD_INPUT', /unknown flag --colour/],
    ['a flag without its value', ['demo', '--model'], 'BAD_INPUT', /--model needs a value/],
    [
      'a flag that is wrong, once however often it is read',
      ['finetune', 'mnist-cnn3', '--images', 'x', '-o', 'y', '--epochs', '0'],
      'BAD_INPUT',
      /^(?![\s\S]*- --epochs[\s\S]*- --epochs)[\s\S]*- --epochs: expected/,
    ],
    [
      'an unknown model',
      ['demo', '--model', 'nowhere'],
      'BAD_INPUT',
      /no model nowhere.*mnist-cnn3, resnet20-cifar10/s,
    ],
    ['a folder without a model', ['demo', '--model', 'docs'], 'BAD_FILE', /arch\.json/],
    ['an unknown variant', ['demo', '--variant', '99'], 'BAD_INPUT', /a variant among 25,.* got "99"/s],
    ['an unknown network', ['demo', '--network', 'moon'], 'BAD_INPUT', /one of lan, wan40, wan60, mobile80, got moon/],
    ['a back end that is not there', ['demo', '--backend', 'he'], 'BAD_INPUT', /one of mcc, securenn, got he/],
    ['a back end that is not there, to serve', ['serve', '--backend', 'he'], 'BAD_INPUT', /--backend: expected one of/],
    [
      'an option of the other back end',
      ['demo', '--backend', 'securenn', '--lo', '4', '--bits', '12'],
      'BAD_INPUT',
      /--bits: an option of back end mcc, not of securenn\n.*--lo: an option of back end mcc/,
    ],
    [
      'an option of the other back end, when none is named',
      ['serve', '--model', 'mnist-cnn3', '--ignored-msb', '40', ...HELPER],
      'BAD_INPUT',
      /--ignored-msb: an option of back end securenn, not of mcc/,
    ],
    [
      'ignored bits that leave nothing to compare',
      ['demo', '--backend', 'securenn', '--ignored-msb', '63', '--ignored-lsb', '8'],
      'BAD_INPUT',
      /--ignored-msb: expected a whole number from 0 to 62, got 63/,
    ],
    [
      'more low bits ignored than high ones',
      ['demo', '--backend', 'securenn', '--ignored-lsb', '8'],
      'BAD_INPUT',
      /--ignored-lsb: at most --ignored-msb = 0, not 8/,
    ],
    ...(
      [
        ['serve', ['--store-mb', '8'], 'nothing is dealt ahead on securenn'],
        ['serve', ['--store-share', '8'], 'nothing is dealt ahead on securenn'],
        ['serve', ['--keep', '8'], 'nothing is dealt ahead on securenn'],
        ['serve', ['--kept-at', 'ws://127.0.0.1:1'], 'nothing is dealt ahead on securenn'],
        ['serve', ['--deliver', 'http://127.0.0.1:1'], 'nothing is dealt ahead on securenn'],
        ['serve', ['--delegate', '0'.repeat(64)], 'only mcc can be delegated'],
        ['serve', ['--no-guard'], 'securenn has no guard that could be left out'],
        ['demo', ['--delegate'], 'only mcc can be delegated'],
        ['evaluate', ['--windows', 'calibrated'], 'for the back end mcc; securenn has --ignored-msb'],
      ] as const
    ).map(([name, [flag, ...values], why]): (typeof cases)[number] => [
      `${flag} of ${name}, which does nothing on securenn`,
      [name, '--backend', 'securenn', flag, ...values],
      'BAD_INPUT',
      new RegExp(`${flag}: ${why}`),
    ]),

    ['missing flags', ['serve'], 'BAD_INPUT', /--model is missing.*--helper is missing/s],
    ['a number out of range', ['serve', '--ring', '99', '--model', 'x', ...HELPER], 'BAD_INPUT', /24 to 32, got 99/],
    ['an address that is none', ['helper', '--listen', 'here'], 'BAD_INPUT', /expected HOST:PORT/],
    ['half of a TLS identity', ['helper', '--cert', 'x.pem'], 'BAD_INPUT', /--cert and --key go together/],
    ['plain text for everybody', ['helper', '--listen', '0.0.0.0:7701'], 'INSECURE', /without TLS/],
    ['a picture that is not there', ['demo', 'a.png', 'b.png'], 'BAD_FILE', /a\.png: there is no such file\n.*b\.png/],
    ['a picture of another size', ['demo', PICTURE], 'BAD_INPUT', /32 wide and 32 high, got 28 wide and 28 high/],
    [
      'a server that is not there',
      ['infer', '--server', 'ws://127.0.0.1:1', ...HELPER, PICTURE],
      'PEER_GONE',
      /cannot connect to 127\.0\.0\.1:1 \(ECONNREFUSED\)/,
    ],
    [
      'a plain-text connection off this machine',
      ['infer', '--server', 'ws://example.org', ...HELPER, PICTURE],
      'INSECURE',
      /refused ws:\/\/example\.org.*use wss:/s,
    ],
    [
      'something that is no URL',
      ['infer', '--server', 'example.org', ...HELPER, PICTURE],
      'BAD_INPUT',
      /starts with wss:\/\//,
    ],
    ['keys without an audience', ['helper', '--jwks', 'keys.json'], 'BAD_INPUT', /--jwks needs --audience/],
    ['an origin with a path', ['helper', '--origin', 'https://a.example/b'], 'BAD_INPUT', /without a path, got/],
    [
      'tokens that are not there',
      ['helper', '--listen', '0', '--tokens', 'no.txt'],
      'BAD_FILE',
      /a file of tokens, but no\.txt: there is no such file/,
    ],
    [
      'a configuration that is not there',
      ['serve', '--config', 'no.json'],
      'BAD_FILE',
      /a configuration, but no\.json: there is no such file/,
    ],
    ...[
      ['evaluate', 'mnist-cnn3', '--images', 'models/samples', '-o', 'package.json/x.json'],
      ['convert', 'models/mnist-cnn3/weights.safetensors', '-o', 'package.json/x.safetensors'],
      ['search', 'models/mnist-cnn3/arch.json', '--images', 'models/samples', '-o', 'package.json'],
    ].map((args): (typeof cases)[number] => [
      `a file where ${args[0]} wants a folder`,
      args,
      'BAD_INPUT',
      /expected a folder at package\.json, found a plain file/,
    ]),
    [
      'pictures below a file',
      ['calibrate', 'mnist-cnn3', '--images', 'package.json/x', '-o', 'no/c.json'],
      'BAD_FILE',
      /package\.json\/x: there is no such file or folder/,
    ],
    ['two models', ['calibrate', 'a', 'b', '--images', 'models/samples'], 'BAD_INPUT', /expected one MODEL, got a b/],
    ['a file that is no JSON', ['inspect', 'README.md'], 'BAD_FILE', /README\.md: expected JSON, but Unexpected token/],
    [
      'a file of no known format',
      ['convert', 'README.md'],
      'BAD_FILE',
      /format that is not known \(known: PyTorch, .*ONNX/,
    ],
  ]
  it.each(cases)('%s', async (_, args, code, text) => {
    const { status, stderr, stdout } = await ringfence(...args)
    expect(stderr).toContain(`error ${code}`)
    expect(stderr.replace(/\n {2}(?! *-)/g, ' ')).toMatch(text)
    expect(stderr).not.toMatch(/ at .*\.js:\d/)
    expect(stdout).toBe('')
    expect(status).toBe(1)
  })

  it('is one JSON object with --json', async () => {
    const { status, stdout } = await ringfence('infer', '--json')
    const { error } = JSON.parse(stdout)
    expect(error.code).toBe('BAD_INPUT')
    expect(error.message).toBe('this command line cannot be run; see npx ringfence infer --help')
    expect(error.problems).toHaveLength(3)
    expect(status).toBe(1)
  })
})

describe('--help', () => {
  it('of the program names every command', async () => {
    const { status, stdout } = await ringfence('--help')
    for (const name of ['demo', 'helper', 'serve', 'infer', 'bench'])
      expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'))
    expect(status).toBe(0)
  })

  it.each([
    [
      'demo',
      '--model --variant --images --network --backend --ring --bits --lo --fraction --ignored-msb --ignored-lsb',
    ],
    ['helper', '--listen --cert --key --behind-proxy --quiet --identity --tokens --jwks --origin --drain --config'],
    ['serve', '--model --helper --listen --variant --backend --ring --bits --lo --helper-key --store-mb --cert --key'],
    ['serve', '--fraction --ignored-msb --ignored-lsb'],
    ['infer', '--server --helper --helper-key --plan-digest --network'],
    ['bench', '--quick'],
  ])('of %s names its flags', async (command, flags) => {
    const { status, stdout } = await ringfence(command, '--help')
    expect(stdout).toContain(`ringfence ${command}`)
    for (const flag of [...flags.split(' '), '--json', '--help']) expect(stdout).toContain(`  ${flag} `)
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
    expect(status).toBe(0)
  })

  it('is shown, with a status of 1, when no command is named', async () => {
    const { status, stdout, stderr } = await ringfence()
    expect(stderr).toContain('usage  ringfence COMMAND')
    expect(stdout).toBe('')
    expect(status).toBe(1)
  })

  it('--version prints the version', async () =>
    expect((await ringfence('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/))
})

it('says in one line when its reader has gone before everything was written', async () => {
  // More than a pipe holds, so that the program meets the closed end.
  const arch = 'test/vectors/examples/seesaw-cifar50-36864.arch.json'
  const child = spawn('sh', ['-c', `"${process.execPath}" dist/cli.js inspect ${arch} --json | head -c 1`], {
    cwd: root,
  })
  let said = ''
  child.stderr.on('data', (text) => (said += text))
  await once(child, 'close')
  expect(said).toBe('error HOST: standard output cannot be written: its reader has gone\n')
})
