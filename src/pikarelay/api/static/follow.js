// The panel that follows one job until it has ended, shows its videos, and presses its retry button.

const FINAL = new Set(["completed", "moderated", "failed", "cancelled"]);

/** Milliseconds until the next look at a job: a short one first, then as seldom as callers are asked to. */
const pause = (looks) => (looks < 60 ? 1_000 : 10_000);

export class FollowPanel {
  /** `onToken` is called with the API token when it is changed in this panel. */
  constructor(document, onToken) {
    const find = (id) => document.getElementById(id);
    this.fields = { token: find("token"), jobid: find("jobid") };
    this.parts = Object.fromEntries(
      ["offer", "job", "status", "elapsed", "content", "error", "videos", "retry", "retry-note"].map((id) => [id, find(id)]),
    );
    this.following = new AbortController();
    this.fields.token.addEventListener("change", () => onToken(this.token));
    find("follow").addEventListener("submit", (event) => {
      event.preventDefault();
      this.follow(this.fields.jobid.value.trim());
    });
    this.parts.retry.addEventListener("click", () => this.retry());
  }

  get token() {
    return this.fields.token.value.trim();
  }

  set token(value) {
    this.fields.token.value = value;
  }

  /** Fills in a job that has just begun, and leaves the rest to the reader. */
  offer(jobid) {
    this.fields.jobid.value = jobid;
    this.parts.offer.hidden = false;
  }

  /** Looks at the job again and again until it has ended. Another call ends this one. */
  async follow(jobid) {
    this.following.abort();
    this.following = new AbortController();
    const { signal } = this.following;
    const begun = Date.now();
    this.parts.offer.hidden = true;
    this.show({ status: jobid ? "asking" : "no job" });
    for (let looks = 0; jobid && !signal.aborted; looks += 1) {
      const job = await this.ask(`v1/pika/jobs/?jobid=${encodeURIComponent(jobid)}`, { signal });
      if (signal.aborted) return;
      this.show(job, `${Math.round((Date.now() - begun) / 1_000)} s`);
      if (FINAL.has(job.status) || (job.code && job.code !== 200)) return;
      await sleep(pause(looks), signal);
    }
  }

  /** Presses the shown job's retry button, and follows the job that comes of it. */
  async retry() {
    const form = new FormData();
    form.append("jobid", this.fields.jobid.value.trim());
    form.append("button", "retry");
    this.parts.retry.disabled = true;
    const job = await this.ask("v1/pika/button", { method: "POST", body: form });
    this.parts.retry.disabled = false;
    if (job.code !== 200) {
      this.complain(job);
      return;
    }
    this.fields.jobid.value = job.jobid;
    await this.follow(job.jobid);
  }

  /** Returns the answer's JSON. When there is none, an object with an `error` alone. */
  async ask(path, options) {
    try {
      const headers = { Accept: "application/json", Authorization: `Bearer ${this.token}` };
      const response = await fetch(path, { ...options, headers });
      return await response.json();
    } catch {
      return { error: "The server does not answer." };
    }
  }

  show(job, elapsed = "") {
    const { parts } = this;
    parts.job.hidden = false;
    parts.status.textContent = job.status ?? (job.code ? `HTTP ${job.code}` : "no answer");
    parts.status.dataset.status = job.status ?? "failed";
    parts.elapsed.textContent = elapsed;
    parts.content.textContent = job.content ?? "";
    this.complain(job);
    this.showFiles(job.attachments ?? []);
    const canRetry = (job.buttons ?? []).includes("retry");
    parts.retry.hidden = parts["retry-note"].hidden = !canRetry;
  }

  complain(job) {
    const { error } = this.parts;
    error.hidden = !job.error;
    error.textContent = [job.error, job.errorDetails].filter(Boolean).join("\n");
  }

  showFiles(attachments) {
    const shown = attachments.filter(({ url }) => /^https?:\/\//.test(url)).flatMap(fileElements);
    this.parts.videos.replaceChildren(...shown);
  }
}

/** Returns a player, if it is a video, and a link. */
function fileElements({ url, filename, content_type: type }) {
  const link = document.createElement("a");
  Object.assign(link, { href: url, textContent: filename, rel: "noreferrer", target: "_blank" });
  if (!(type ?? "").startsWith("video/")) return [link];
  const video = document.createElement("video");
  Object.assign(video, { src: url, controls: true, loop: true, muted: true, autoplay: true, playsInline: true });
  return [video, link];
}

/** Waits, at most until the signal is aborted. */
function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
