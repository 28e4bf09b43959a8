// Runs submissions in Dawn: WebGPU with Tint, a WGSL compiler that shares nothing with naga. It knows buffers, kernels and bindings;
// tests/support/dawn.rs writes them, compares what comes back, and is where the files are described.
//
// usage: node replay.mjs FOLDER, in the folder where scripts/check-portable has installed Dawn. Prints the adapter. Any error of the device,
// the compiler or this script ends it with an exit status other than 0.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const installed = (path) => join(process.cwd(), path);
if (existsSync(installed('libindexing_layer.so'))) {
  Object.assign(process.env, { VK_LAYER_PATH: process.cwd(), VK_INSTANCE_LAYERS: 'VK_LAYER_LOGUP_indexing' });
}
const { create, globals } = await import(pathToFileURL(installed('node_modules/webgpu/index.js')));
Object.assign(globalThis, globals);

const fail = (what) => {
  console.error(`Dawn: ${what}`);
  process.exit(1);
};

const folder = process.argv[2];
const file = (name) => join(folder, name);
const { limits, submissions } = JSON.parse(readFileSync(file('submissions.json'), 'utf8'));

globalThis.gpu = create([]); // whatever else is held, Dawn is gone once this is collected
const adapter = await gpu.requestAdapter();
if (!adapter) fail('there is no adapter');
const device = await adapter.requestDevice({ requiredLimits: limits });
device.addEventListener('uncapturederror', (event) => fail(event.error.message));
device.lost.then(({ reason, message }) => fail(`the device is lost: ${reason}: ${message}`));

// Each kernel once, and several at a time.
const pipelines = new Map();
const key = ({ text, constants }) => JSON.stringify([text, constants]);
for (const dispatch of submissions.flatMap((submission) => submission.dispatches)) {
  if (pipelines.has(key(dispatch))) continue;
  const module = device.createShaderModule({ label: dispatch.text, code: readFileSync(file(dispatch.text), 'utf8') });
  const compute = { module, entryPoint: 'main', constants: dispatch.constants };
  pipelines.set(key(dispatch), device.createComputePipelineAsync({ label: dispatch.text, layout: 'auto', compute }));
}
for (const [name, pipeline] of pipelines) pipelines.set(name, await pipeline);

const ALL_USES = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

for (const { buffers, dispatches, result, to } of submissions) {
  const scopes = ['validation', 'out-of-memory', 'internal'];
  scopes.forEach((scope) => device.pushErrorScope(scope));
  const made = buffers.map(({ bytes, fill, words }) => {
    const buffer = device.createBuffer({ size: bytes, usage: ALL_USES });
    const content = new Uint8Array(new Uint32Array(bytes / 4).fill(fill).buffer);
    if (words) content.set(readFileSync(file(words)));
    device.queue.writeBuffer(buffer, 0, content);
    return buffer;
  });
  const { bytes } = buffers[result];
  const readback = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });

  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const dispatch of dispatches) {
    const pipeline = pipelines.get(key(dispatch));
    pass.setPipeline(pipeline);
    dispatch.groups.forEach((bindings, group) => {
      const entries = bindings.map(({ buffer, offset, size }, binding) => ({ binding, resource: { buffer: made[buffer], offset, size } }));
      pass.setBindGroup(group, device.createBindGroup({ layout: pipeline.getBindGroupLayout(group), entries }));
    });
    pass.dispatchWorkgroups(...dispatch.grid);
  }
  pass.end();
  encoder.copyBufferToBuffer(made[result], 0, readback, 0, bytes);
  device.queue.submit([encoder.finish()]);

  for (const _ of scopes) {
    const error = await device.popErrorScope();
    if (error) fail(error.message);
  }
  await readback.mapAsync(GPUMapMode.READ);
  writeFileSync(file(to), new Uint8Array(readback.getMappedRange()));
  [readback, ...made].forEach((buffer) => buffer.destroy());
}

const { vendor, architecture, device: model, description } = adapter.info;
console.log([vendor, architecture, model, description].filter(Boolean).join(', '));
process.exit(0);
