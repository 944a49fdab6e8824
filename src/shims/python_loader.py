import os;exec(compile(os.environ.pop("SPV_SHIM"),"<supervisor>","exec"),{"__name__":"supervisor","__spv_file__":"<supervisor>"})
