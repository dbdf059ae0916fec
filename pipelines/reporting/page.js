// A line in each plot follows its video, and a click in a plot leads the video there.
for (const film of document.querySelectorAll(".film[data-fps]")) {
  const video = film.querySelector("video");
  const plots = [...film.querySelectorAll(".plot")];
  if (!video || !plots.length) continue;
  const fps = Number(film.dataset.fps);
  const values = plots.map((plot) => JSON.parse(plot.dataset.values));

  const show = () => {
    const frame = Math.floor(video.currentTime * fps + 0.01); // the first frame, 0, is that of the start
    plots.forEach((plot, k) => {
      const step = Math.min(frame, values[k].length);
      const value = values[k][step - 1];
      const cursor = plot.querySelector(".cursor");
      cursor.setAttribute("d", `M${(1000 * step) / values[k].length} 0V1000`);
      cursor.style.visibility = "visible";
      plot.querySelector("output").textContent = value == null ? "" : `${value.toFixed(plot.dataset.digits)} at ${(step / fps).toFixed(2)} s`;
    });
  };
  const follow = () => {
    show();
    if (!video.paused) requestAnimationFrame(follow);
  };
  video.addEventListener("play", follow);
  video.addEventListener("seeked", show);
  video.addEventListener("timeupdate", show);
  plots.forEach((plot, k) => {
    const axes = plot.querySelector(".axes");
    plot.classList.add("seekable");
    axes.addEventListener("click", (event) => {
      const box = axes.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      video.currentTime = (Math.round(share * values[k].length) + 0.5) / fps; // the middle of that frame
    });
  });
}
