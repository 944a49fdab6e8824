const t=process.env.SPV_SHIM;delete process.env.SPV_SHIM;await import("data:text/javascript;base64,"+Buffer.from(t).toString("base64"))
