// The page: one client, one picture, and what is shown of them.
import { pictureToInput, ReconnectingClient } from 'ringfence'
import { showAnswer, showPlain } from './answer.js'
import { showDelegatedCosts, showDirectCosts } from './costs.js'
import { DelegatedClient } from './delegated.js'
import { byId, element, ms } from './elements.js'
import { explain } from './failures.js'
import { correlation, draw, pictureOf, pictureOfWords, samplesFor } from './pictures.js'
import { stepsOf, Timeline } from './timeline.js'
import { forgetWays, showWay } from './ways.js'

/** Inferences prepared while a picture is picked. */
const KEEP_PREPARED = 3
/** Lets the example's parties tell this page, and no other, what they received from it; the same after a reload. */
const viewer = (sessionStorage.viewer ??= crypto.randomUUID())

const HELPER_ASKED = byId('request-text').textContent
const HELPER_DEALS = 'How much to deal to server and delegate beforehand. Nothing from this page.'

/** `client` stays while parties are away; `why` is what it waits for, or undefined while it is connected. */
const state = { client: undefined, why: undefined, parties: undefined, picture: undefined, running: undefined }
/** Of the layers, which are a delegate's where there is one. */
let timeline
let connection = 0

const delegated = () => byId('way').value === 'delegated'
const connected = () => state.client?.connected === true

async function connect() {
  const mine = ++connection
  const former = state.client
  state.client = undefined
  byId('failure').hidden = true
  say(`Connecting to server and ${delegated() ? 'delegate' : 'helper'} …`)
  showReady(0)
  void former?.release().catch(() => undefined)
  try {
    state.parties = undefined
    state.parties = await (await fetch('/parties')).json()
    showModels(state.parties.models)
    const query = `?viewer=${viewer}&model=${byId('model').value}`
    const toServer = `${query}&rtt=${byId('network').value}`
    const client = delegated()
      ? await DelegatedClient.create(state.parties.delegated, toServer)
      : await ReconnectingClient.create({
          server: state.parties.server + toServer,
          helper: state.parties.helper + query,
          keepPrepared: KEEP_PREPARED,
          keepMaterial: true,
          onPrepared: (count) => mine === connection && showReady(count),
          onConnection: (change) => mine === connection && showConnection(change),
          deadlineMs: 10_000,
          patienceMs: Number.POSITIVE_INFINITY, // the page says what it waits for, for as long as it takes
        })
    if (mine !== connection) return void client.release()
    state.client = client
    showConnection({ state: 'connected' })
  } catch (error) {
    if (mine === connection) fail(error)
  }
}

/** What stands at the top is what holds now, whoever came or went. */
function showConnection({ state: now, why }) {
  if (now === 'waiting') fail(why)
  if (now !== 'connected' || !state.client) return
  const returned = state.why !== undefined
  state.why = undefined
  byId('failure').hidden = true
  const { plan } = state.client
  byId('delegate').hidden = !delegated()
  byId('request').textContent = '–'
  byId('request-text').textContent = delegated() ? HELPER_DEALS : HELPER_ASKED
  timeline = delegated() ? undefined : new Timeline(plan)
  byId('layer-by-layer').hidden = delegated()
  byId('classes').textContent = plan.labels.join(', ')
  if (state.shape !== `${plan.input.shape}`) showSamples(plan.input.shape)
  byId('size').textContent = plan.input.shape.slice(1).reverse().join(' × ')
  if (returned) say('Connected again.', 'good')
  else say(state.picture ? 'Connected.' : 'Connected. Pick a picture.', 'good')
  showReady(state.client.prepared)
}

async function classify() {
  const { client, picture } = state
  if (!connected() || !picture || state.running) return
  const controller = new AbortController()
  state.running = controller
  byId('answer').hidden = true
  byId('failure').hidden = true
  say('Classifying …')
  timeline?.start()
  showControls()
  try {
    const input = pictureToInput(picture, client.plan.input)
    const run = client instanceof DelegatedClient ? client.run.bind(client) : runDirect(client)
    const { result, steps, traffic } = await run(input, { signal: controller.signal, onProgress })
    timeline?.finish(steps)
    const words = showAnswer(result, client.plan.labels)
    byId('compare').onclick = () => void showPlain(input, result, client.plan.labels, byId('model').value)
    say(`The picture shows: ${words}. Only this page knows.`, 'good')
    byId('progress-label').textContent = `Done in ${ms(result.milliseconds)} ms`
    const seen = await showSeen(client.plan, picture)
    if (traffic) showDirect(steps, result, traffic, seen)
    else {
      showWay('delegated', steps, 0)
      showDelegatedCosts(steps, result.milliseconds)
    }
    showReady(client.prepared)
  } catch (error) {
    recover(error)
  } finally {
    const hadFocus = document.activeElement === byId('cancel')
    state.running = undefined
    showControls()
    if (hadFocus) byId('classify').focus()
  }
}

/** As `DelegatedClient.run`, with the client's own report. */
const runDirect = (client) => async (input, options) => {
  const first = client.current
  const before = first.traffic
  const result = await client.run(input, options)
  const { traffic } = client.current
  // After a repeat all traffic is that of a new connection.
  return { result, traffic, steps: stepsOf(client.plan, client.current === first ? before : undefined, traffic) }
}

function showDirect(steps, { milliseconds }, traffic, { server }) {
  const { offline } = traffic.links.server
  // The last step's upload comes once for each. What an earlier visit prepared was paid for then.
  const prepared = offline.steps.at(-1)?.messagesSent || 1
  showWay('direct', steps, offline.bytesSent / prepared)
  showDirectCosts({ steps, milliseconds, traffic, prepared, dealtBytes: server?.dealtBytes })
}

/** After an error a direct client connects anew by itself; a delegated one has no connection. */
function recover(error) {
  byId('progress').value = 0
  byId('progress-label').textContent = error.code === 'ABORTED' ? 'Cancelled' : 'Failed'
  if (error.code === 'ABORTED') say('Cancelled. What was prepared for that picture is thrown away.')
  else fail(error)
}

function onProgress({ phase, step, steps, layer }) {
  byId('progress').value = step / steps
  byId('progress-label').textContent = `${phase === 'run' ? 'Classifying' : 'Preparing'}: ${layer}`
  if (phase === 'run') timeline?.done(step)
}

async function take(blob, name) {
  try {
    state.picture = await pictureOf(blob, state.client?.plan.input.shape ?? [3, 32, 32])
  } catch {
    state.picture = undefined
    say(`${name} cannot be read as a picture. Pick a PNG, JPEG, WebP or GIF file.`, 'bad')
    showControls()
    return
  }
  draw(byId('picture'), state.picture, `Your picture, ${name}, as the network takes it`)
  unseen('Nothing of this picture received yet')
  if (connected()) say(`${name} is picked. Nothing of it has left this page.`, 'good')
  showControls()
}

/** What the parties received, as they tell. */
async function showSeen({ ring, inputBits = ring, input }, picture) {
  const { server, helper, delegate } = await fetch(`/seen?viewer=${viewer}`).then((answer) => answer.json(), () => ({})) // biome-ignore format: one call
  if (server) {
    const bytes = Uint8Array.from(atob(server.masked), (letter) => letter.charCodeAt(0))
    const noise = pictureOfWords(bytes, inputBits, input.shape)
    draw(byId('masked'), noise, 'What the server received, drawn as a picture: noise')
    const likeness = correlation(picture, noise).toFixed(3)
    byId('masked-text').textContent =
      `Your picture minus a random mask: ${bytes.length.toLocaleString('en')} bytes of noise. ` +
      `Correlation with your picture: ${likeness}.`
    byId('masked-bytes').textContent = `${hex(bytes.subarray(0, 16))} …`
  }
  if (helper && !delegated()) {
    const words = new DataView(Uint8Array.from(helper.request.match(/../g), (pair) => Number.parseInt(pair, 16)).buffer)
    byId('request').textContent = helper.request.replace(/..(?=.)/g, '$& ')
    byId('request-text').textContent =
      `Its last request, ${words.byteLength} bytes: “deal random numbers for inference ${words.getBigUint64(0, true)}”. ` +
      'Nothing else, and nothing while a picture is classified.'
  }
  if (delegate && delegated()) {
    byId('seed').textContent = `… ${delegate.seed.slice(-40).replace(/..(?=.)/g, '$& ')}`
    byId('seed-text').textContent =
      `A seed of random masks, sealed to it, in ${delegate.seed.length / 2} bytes. Neither your picture nor the answer.`
  }
  return { server }
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')

function fail(error) {
  const { title, advice, report } = explain(error, state.parties, !delegated())
  const news = byId('failure').hidden || byId('failure-title').textContent !== title
  state.why = error
  byId('failure-report').textContent = report
  if (delegated()) say(state.client ? 'Not answered. Nothing is kept of it: classify again.' : 'Not connected.', 'bad')
  else say(state.client || state.parties ? 'Not connected; trying again.' : 'Not connected.', 'bad')
  showReady(0)
  if (!news) return // said and shown already: another attempt has met the same
  byId('failure-title').textContent = title
  byId('failure-advice').textContent = advice
  byId('failure').hidden = false
  byId('failure').focus()
}

function say(text, mood = '') {
  byId('status').textContent = text
  byId('status').className = `status ${mood}`
}

function showReady(count) {
  if (delegated()) byId('ready').textContent = 'ready: nothing is prepared here'
  else
    byId('ready').textContent =
      connected() && count < KEEP_PREPARED ? `ready: ${count}, preparing more` : `ready: ${count}`
  byId('ready-light').classList.toggle('on', delegated() ? connected() : count > 0)
  showControls()
}

function showControls() {
  const possible = connected() && state.picture && !state.running
  byId('classify').disabled = !state.client || !state.picture
  byId('classify').setAttribute('aria-disabled', String(!possible))
  byId('cancel').disabled = !state.running
}

function clear(canvas, label) {
  canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height)
  canvas.setAttribute('aria-label', label)
}

function showModels(names) {
  if (byId('model').options.length === 0)
    byId('model').append(...names.map((value) => element('option', { value }, value)))
}

/** A network of another shape takes other pictures. */
function showSamples(shape) {
  state.shape = `${shape}`
  forget()
  const labels = samplesFor(shape).map(({ name, url, alt }) => {
    const radio = element('input', { type: 'radio', name: 'sample', value: name })
    radio.addEventListener('change', async () => take(await (await fetch(url)).blob(), name))
    return element('label', {}, radio, element('img', { src: url, alt, width: 32, height: 32 }), name)
  })
  byId('samples').replaceChildren(...labels)
}

function forget() {
  state.picture = undefined
  byId('file').value = ''
  byId('cost').hidden = true
  clear(byId('picture'), 'No picture yet')
  unseen('Nothing received yet')
}

/** What is shown of another picture does not hold for this one. */
function unseen(label) {
  byId('answer').hidden = true
  clear(byId('masked'), label)
  byId('masked-text').textContent = 'Your picture minus a random mask, once it is classified.'
  byId('masked-bytes').textContent = ''
  byId('seed').textContent = '–'
  byId('progress').value = 0
  byId('progress-label').textContent = 'Not started'
}
function takeFile(file) {
  if (!file) return
  for (const radio of document.querySelectorAll('[name=sample]')) radio.checked = false
  void take(file, file.name)
}
byId('file').addEventListener('change', ({ target }) => takeFile(target.files[0]))
for (const kind of ['dragover', 'dragleave', 'drop']) {
  byId('drop').addEventListener(kind, (event) => {
    event.preventDefault()
    byId('drop').classList.toggle('over', kind === 'dragover')
    if (kind === 'drop') takeFile(event.dataTransfer.files[0])
  })
}
byId('classify').addEventListener('click', classify)
byId('cancel').addEventListener('click', () => state.running?.abort())
byId('reconnect').addEventListener('click', connect)
for (const setting of ['network', 'model']) {
  byId(setting).addEventListener('change', () => {
    forgetWays()
    void connect()
  })
}
byId('way').addEventListener('change', connect)
forgetWays()
void connect()
