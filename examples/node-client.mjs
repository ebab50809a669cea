// The client holds the picture and learns the answer; the weights stay with the server.
import { readFile } from 'node:fs/promises'
import { Client, decodeImage, pictureToInput } from 'ringfence'

const [file, server = 'ws://127.0.0.1:7702', helper = 'ws://127.0.0.1:7701'] = process.argv.slice(2)
const client = await Client.create({ server, helper })
const input = pictureToInput(decodeImage(await readFile(file)), client.plan.input)
await client.prepare() // off line: can be done long before there is a picture
const { label, milliseconds } = await client.run(input)
console.log(`${file}: ${label}, in ${milliseconds.toFixed(1)} ms`)
await client.release()
